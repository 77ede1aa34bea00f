"""OpenAI: chats as for fine-tuning, stored completions, and the batch API's requests and output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import FormatError
from fusionfactory.importers.logs.answers import error_text, read_answer
from fusionfactory.importers.logs.calls import Call, Calls, Log
from fusionfactory.importers.logs.messages import answer_text, conversation, query_text
from fusionfactory.importers.logs.records import Record, read_records
from fusionfactory.importers.logs.values import first, number, propensity_in, time_of

if TYPE_CHECKING:
    from fusionfactory.importers.files import JsonObject

__all__ = ["read_log"]

_FIELDS = {"query": "messages", "response": "choices", "input_tokens": "usage",
           "output_tokens": "usage", "propensity": "metadata"}  # fmt: skip
_HINTS = {
    "query": "a batch's prompts are in its input: say where with requests=FILE",
    "model": "say who answered with model=NAME",
}
_BAD_STATUS = 400


def read_log(
    path: str | Path,
    *,
    model: str | None = None,
    requests: str | Path | None = None,
    skip_incomplete: bool = False,
    task: str = "",
) -> Log:
    """Reads chats (`messages`, the last one the answer), completions and a batch's output.

    A completion's prompt is in `messages`, `input` or `request` beside it. Output of the batch API
    has no prompts: they are in the batch's input, joined by `custom_id`, in the same folder or in
    `requests`. A chat without an answer is left out. These logs have no costs and no latencies.

    Args:
        path: `.jsonl` or `.json`, or a folder of those.
        model: Who answered, where a line does not say.
        requests: The input `.jsonl` of a batch.
        skip_incomplete: Leave out lines without prompt or model, and count them.
        task: Task of the queries.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    calls = Calls(path, _FIELDS, task=task, skip_incomplete=skip_incomplete, hints=_HINTS)
    records = list(read_records(path))
    inputs = list(read_records(Path(requests))) if requests is not None else []
    asked = {
        str(item["custom_id"]): item["body"]
        for _, _, item in (*inputs, *records)
        if _is_request(item)
    }
    for file, row, item in records:
        if _is_request(item):
            continue
        if "custom_id" in item or isinstance(item.get("response"), dict):
            call = _of_batch(item, asked.get(str(item.get("custom_id")), {}))
        elif item.keys() & {"choices", "output"} or item.get("error"):
            call = _of_completion(item, item)
        elif _answered(item, file, row):
            call = _of_chat(item)
        else:
            calls.leave_out("chat without an answer")
            continue
        calls.add(file, row, _completed(call, (file, row, item), model))
    return calls.log()


def _is_request(item: JsonObject) -> bool:
    return "custom_id" in item and isinstance(item.get("body"), dict) and "response" not in item


def _answered(item: JsonObject, file: Path, row: int) -> bool:
    messages = item.get("messages")
    if not isinstance(messages, list):
        msg = f"is no list of messages; found {', '.join(map(str, item))}"
        raise FormatError(msg, file=file, row=row, field="messages")
    return bool(messages) and _role(messages[-1]) == "assistant"


def _role(message: Any) -> Any:  # noqa: ANN401  any JSON
    return message.get("role") if isinstance(message, dict) else None


def _of_chat(item: JsonObject) -> Call:
    *asked, last = item["messages"]
    return Call(
        query=query_text(conversation(asked)),
        model=first(item, "model"),
        response=answer_text(last),
    )


def _of_completion(body: JsonObject, request: JsonObject) -> Call:
    """A completion's body and what was asked, which says who was to answer if the body does not."""
    answer = read_answer(body)
    return Call(
        query=_prompt(request),
        model=first(request, "model") or answer.model,
        response=None if answer.error is not None else answer.text,
        error=answer.error,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        finish_reason=answer.finish_reason,
    )


def _of_batch(item: JsonObject, request: JsonObject) -> Call:
    """A line of a batch's output or error file."""
    given = item.get("response")
    response = given if isinstance(given, dict) else {}
    inner = response.get("body", response)
    body = inner if isinstance(inner, dict) else {}
    call = _of_completion(body, request or item)
    status = number(response.get("status_code"))
    bad = status is not None and status >= _BAD_STATUS
    error = error_text(item.get("error")) or call.error or (f"HTTP {status:.0f}" if bad else None)
    return replace(call, error=error, response=None if error is not None else call.response)


def _prompt(request: JsonObject) -> str | None:
    inner = request.get("request")
    if isinstance(inner, dict) and isinstance(inner.get("body"), dict):
        inner = inner["body"]
    asked = first(request, "messages", "input", "prompt") or inner
    return query_text(conversation(asked))


def _completed(call: Call, record: Record, model: str | None) -> Call:
    """With what every kind of line has in one place."""
    file, row, item = record
    response = item.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    places = [place for place in (item, body) if isinstance(place, dict)]
    created = [first(place, "created", "created_at") for place in places]
    when = next((value for value in created if value is not None), None)
    return replace(
        call,
        model=call.model or model,
        ended=time_of(when, file, row, "created"),
        propensity=propensity_in(*(place.get("metadata") for place in places), item),
    )
