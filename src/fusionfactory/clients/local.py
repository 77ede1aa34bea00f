"""A GGUF model in this process, by llama.cpp (extra `local`)."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.clients.base import ChatReply
from fusionfactory.clients.replies import mean_logprob, token_logprobs
from fusionfactory.errors import CallError, ConfigError, MissingExtraError

if TYPE_CHECKING:
    from fusionfactory.clients.base import ChatRequest

__all__ = ["LocalClient", "server_params"]


class LocalClient:
    """Answers by the chat template inside the model file. The model is loaded on the first call.

    Args:
        path: The `.gguf` file.
        context_tokens: Longest prompt and answer together.
        threads: CPU threads.
        seed: Of the sampling, where the request names none.
    """

    concurrency = 1

    def __init__(
        self, path: str | Path, *, context_tokens: int = 4096, threads: int = 2, seed: int = 0
    ) -> None:
        self.path = Path(path)
        self.context_tokens = context_tokens
        self.threads = threads
        self.seed = seed
        self._server: Any = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="llama")

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answers one request, in a thread.

        Raises:
            CallError: The model cannot answer: the prompt is too long, or the answer is empty.
            ConfigError: There is no such model file.
            MissingExtraError: The extra `local` is not installed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._answer, request)

    def drop_waiting(self) -> None:
        """Nothing waits: it makes one call at a time."""

    async def close(self) -> None:
        """Frees the model."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._server = None

    def _answer(self, request: ChatRequest) -> ChatReply:
        if self._server is None:
            self._server = self._load()
        body = {
            "messages": [dict(message) for message in request.messages],
            "seed": self.seed,
            "cache_prompt": True,
            **request.params,
        }
        start_s = time.perf_counter()
        try:
            reply = self._server.handle_chat_completions(body)
        except RuntimeError as error:
            msg = f"{self.path.name}: {error}"
            raise CallError(msg) from None
        latency_s = time.perf_counter() - start_s
        if "choices" not in reply:
            msg = f"{self.path.name}: {reply.get('error', reply)}"
            raise CallError(msg)
        choice, usage = reply["choices"][0], reply["usage"]
        tokens = (usage["prompt_tokens"], usage["completion_tokens"])
        text = choice["message"].get("content") or ""
        reason = choice.get("finish_reason")
        if not text.strip():
            msg = f"empty response (finish_reason {reason})"
            raise CallError(msg, input_tokens=tokens[0], output_tokens=tokens[1])
        logprob = mean_logprob(token_logprobs(choice))
        return ChatReply(text, reason, *tokens, latency_s, usage, logprob)

    def _load(self) -> Any:  # noqa: ANN401  the package carries no types
        params = server_params(self.path, context_tokens=self.context_tokens, threads=self.threads)
        params.n_threads_http = 1
        import xllamacpp

        return xllamacpp.Server(params)


def server_params(path: Path, *, context_tokens: int, threads: int) -> Any:  # noqa: ANN401
    """What llama.cpp serves a model file by, one request at a time.

    Args:
        path: The `.gguf` file.
        context_tokens: Longest prompt and answer together.
        threads: CPU threads.

    Raises:
        ConfigError: There is no such model file.
        MissingExtraError: The extra `local` is not installed.
    """
    try:
        import xllamacpp
    except ModuleNotFoundError:
        what = f"The local model {path.name}"
        raise MissingExtraError(what, "local") from None
    if not path.is_file():
        msg = "no such model file"
        raise ConfigError(msg, file=path, field="gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.n_gpu_layers = 0
    # By default gigabytes of old prompts are kept; the slot itself reuses the last one's start.
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    return params
