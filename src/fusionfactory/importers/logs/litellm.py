"""LiteLLM: rows of the proxy's table `LiteLLM_SpendLogs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ConfigError
from fusionfactory.importers.logs.answers import read_answer
from fusionfactory.importers.logs.calls import Call, Calls, Log
from fusionfactory.importers.logs.messages import conversation, query_text
from fusionfactory.importers.logs.records import read_records
from fusionfactory.importers.logs.redaction import MARK
from fusionfactory.importers.logs.values import decoded, first, number, propensity_in, time_of

if TYPE_CHECKING:
    from fusionfactory.importers.files import JsonObject

__all__ = ["read_log"]

_FIELDS = {"query": "messages", "input_tokens": "prompt_tokens",
           "output_tokens": "completion_tokens", "cost_usd": "spend",
           "propensity": "metadata"}  # fmt: skip
_CHATS = ("completion", "response", "message", "generate_content")
_ARMS = ("model_group", "model")
_HINTS = {"query": "the proxy keeps prompts only with store_prompts_in_spend_logs"}
_NESTED = ("requester_metadata", "spend_logs_metadata")


def read_log(
    path: str | Path,
    *,
    arm: str = "model_group",
    zero_is_unknown: bool = False,
    skip_incomplete: bool = False,
    task: str = "",
) -> Log:
    """Reads rows of `LiteLLM_SpendLogs`, dumped or as the proxy's API gives them.

    Prompts are in the log only where the proxy stores them (`store_prompts_in_spend_logs`): in
    `messages`, or in the body in `proxy_server_request`. Calls that are no chat or text completion
    (embeddings, images, ...) are left out, and so are requests that the proxy refused before it
    asked a model. Token counts that are all 0 are unknown. A `propensity`
    in `metadata`, or in the request's own metadata in it, is the outcome's.

    Args:
        path: `.jsonl`, `.json` (a list, or `{"data": [...]}`), `.csv` or `.parquet`.
        arm: The field that names the arm, `model_group` (what was asked of the proxy) or `model`
            (what answered); where it is empty, the other.
        zero_is_unknown: A spend of 0 for tokens that were used is unknown, unless the call failed
            or came from the cache. LiteLLM writes 0 where it knows no price; by default it is kept.
        skip_incomplete: Leave out rows without prompt or model, and count them.
        task: Task of the queries.

    Raises:
        ConfigError: `arm` is no such field.
        FormatError: The content is malformed.
    """
    if arm not in _ARMS:
        msg = f"{arm!r} names no arm: expected {' or '.join(_ARMS)}"
        raise ConfigError(msg, field="arm")
    path = Path(path)
    fields = _FIELDS | {"model": arm}
    calls = Calls(path, fields, task=task, skip_incomplete=skip_incomplete, hints=_HINTS)
    for file, row, item in read_records(path):
        kind = str(item.get("call_type") or "")
        if kind and not any(chat in kind for chat in _CHATS):
            calls.leave_out(f"call of type {kind}")
            continue
        if not kind and first(item, *_ARMS) is None:
            calls.leave_out("request that the proxy refused before it asked a model")
            continue
        calls.add(file, row, _call(item, arm, file, row, zero_is_unknown=zero_is_unknown))
    return calls.log()


def _call(item: JsonObject, arm: str, file: Path, row: int, *, zero_is_unknown: bool) -> Call:
    metadata = decoded(item.get("metadata"))
    metadata = metadata if isinstance(metadata, dict) else {}
    answer = read_answer(decoded(item.get("response")) or None)
    error = _error(item, metadata)
    used = [number(item.get(n)) for n in ("total_tokens", "prompt_tokens", "completion_tokens")]
    counted = any(used)
    spend = first(item, "spend")
    free = error is not None or str(item.get("cache_hit")).lower() == "true"
    if zero_is_unknown and counted and not free and number(spend) == 0:
        spend = None
    return Call(
        query=query_text(conversation(_prompt(item))),
        model=first(item, arm, *_ARMS),
        response=None if error is not None else answer.text,
        error=error,
        input_tokens=item.get("prompt_tokens") if counted else None,
        output_tokens=item.get("completion_tokens") if counted else None,
        cost_usd=spend,
        started=time_of(item.get("startTime"), file, row, "startTime"),
        ended=time_of(item.get("endTime"), file, row, "endTime"),
        propensity=propensity_in(metadata, *(metadata.get(name) for name in _NESTED)),
        finish_reason=answer.finish_reason,
    )


def _prompt(item: JsonObject) -> Any:  # noqa: ANN401  any JSON
    """What was asked: `messages`, or what the request's stored body holds."""
    messages = decoded(item.get("messages"))
    if messages:
        return messages
    request = decoded(item.get("proxy_server_request"))
    if isinstance(request, dict):
        inner = request.get("body")
        body = inner if isinstance(inner, dict) else request
        return first(body, "messages", "input", "contents", "prompt")
    return None


def _error(item: JsonObject, metadata: JsonObject) -> str | None:
    status = first(item, "status") or first(metadata, "status")
    if str(status).lower() != "failure":
        return None
    told = decoded(metadata.get("error_information"))
    told = told if isinstance(told, dict) else {}
    said = [first(told, name) for name in ("error_class", "error_code", "error_message")]
    text = ": ".join(str(part) for part in said if part is not None) or "failure"
    for key in (first(item, "api_key"), first(metadata, "user_api_key")):
        text = text if key is None else text.replace(str(key), MARK)
    return text
