"""Ask the local models every question and append each outcome to a JSONL file.

Run as ``python demo/collect.py --models DIR --out demo_log.jsonl``. The run can be stopped at any
time: it goes on where it stopped. Tasks are interleaved, so at any time the log covers all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import xllamacpp  # type: ignore[import-not-found, import-untyped, unused-ignore]

from arms import DIRECT_ARMS, THINK_ARMS, Arm
from models import LocalModel, fetch
from questions import TASKS, Question, make_questions

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTEXT_TOKENS = 2048
_SLOTS = 2
THINK_EVERY = 4


class ChatServer(Protocol):
    """The one call of ``xllamacpp.Server`` that is used here."""

    def handle_chat_completions(self, request: dict[str, Any], /) -> dict[str, Any]:
        """Answer an OpenAI-style chat request."""
        ...


def load(model: LocalModel, folder: Path, threads: int) -> ChatServer:
    """Load a model for in-process chat completions.

    Each of the two slots keeps its own prompt prefix: one serves direct, one think prompts.
    """
    params = xllamacpp.CommonParams()
    params.model.path = str(fetch(model, folder))
    params.n_ctx = _CONTEXT_TOKENS
    params.n_parallel = _SLOTS
    params.n_threads_http = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    server: ChatServer = xllamacpp.Server(params)
    return server


def ask(server: ChatServer, arm: Arm, question: Question) -> dict[str, Any]:
    """Ask one question, greedily, and return the outcome as a JSON-ready record."""
    request = {
        "messages": arm.messages(question.query),
        "max_tokens": arm.max_tokens,
        "temperature": 0.0,
        "seed": 1,
        "cache_prompt": True,
        "id_slot": int(arm.think),
    }
    record: dict[str, Any] = {"task_id": question.task_id, "llm": arm.name}
    start = time.perf_counter()
    try:
        reply = server.handle_chat_completions(request)
        choice, usage = reply["choices"][0], reply["usage"]
        record |= {
            "response": choice["message"]["content"],
            "finish_reason": choice["finish_reason"],
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
        }
    except (RuntimeError, KeyError, TypeError) as error:
        record["error"] = f"{type(error).__name__}: {error}"
    record["latency_s"] = round(time.perf_counter() - start, 4)
    return record


def done(path: Path) -> set[tuple[str, str]]:
    """Return the (task_id, llm) pairs that a log already holds; a torn last line is dropped."""
    if not path.exists():
        return set()
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    records = map(json.loads, whole.splitlines())
    return {(r["task_id"], r["llm"]) for r in records if "error" not in r}


def plan(questions: list[Question]) -> Iterator[tuple[Question, Arm]]:
    """Yield all calls in the order in which they are made; some come twice.

    Think arms cost most of the time, so the direct arms answer all questions first; then the think
    arms answer every fourth round (a round has one question of each task), then the rest.
    """
    rounds = enumerate(questions)
    some = [question for index, question in rounds if index // len(TASKS) % THINK_EVERY == 0]
    first = product(questions, DIRECT_ARMS)
    return chain(first, product(some, THINK_ARMS), product(questions, THINK_ARMS))


def collect(models: Path, out: Path, *, limit: int | None, threads: int) -> None:
    """Make every call that the log does not hold yet.

    Args:
        models: Cache folder of the model files.
        out: The JSONL log, appended to with fsync.
        limit: Ask only the first so many questions, or all of them.
        threads: Threads per model.
    """
    held = done(out)
    servers: dict[str, ChatServer] = {}
    with out.open("a", encoding="utf-8") as log:
        for question, arm in plan(make_questions()[:limit]):
            if (question.task_id, arm.name) in held:
                continue
            if arm.model.name not in servers:
                servers[arm.model.name] = load(arm.model, models, threads)
            held.add((question.task_id, arm.name))
            record = ask(servers[arm.model.name], arm, question)
            log.write(json.dumps(record) + "\n")
            log.flush()
            os.fsync(log.fileno())
    sys.stdout.write(f"{out} is complete\n")


def main() -> None:
    """Run the collection from the command line."""
    parser = argparse.ArgumentParser(description="Collect the demo's outcome log.")
    parser.add_argument("--models", type=Path, required=True, help="folder of the model files")
    parser.add_argument("--out", type=Path, required=True, help="JSONL log to append to")
    parser.add_argument("--limit", type=int, default=None, help="ask only the first N questions")
    parser.add_argument("--threads", type=int, default=1, help="threads per model")
    args = parser.parse_args()
    collect(args.models, args.out, limit=args.limit, threads=args.threads)


if __name__ == "__main__":
    main()
