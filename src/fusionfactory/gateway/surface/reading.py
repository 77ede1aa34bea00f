"""From the body of a request to what routing needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from fusionfactory.conversation import user_text
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.ask import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.surface.exchange import Exchange
    from fusionfactory.policy import Policy

__all__ = ["Asked", "expected", "read_chat", "read_own_fields", "read_prompt"]

_BYTES_PER_TOKEN = 4
_TOKENS_OF_A_PICTURE = 765
"""What OpenAI counts for one of 1024 by 1024 pixels."""

_FILES = {"image_url": "url", "input_audio": "data", "file": "file_data"}
"""Type of a content part to the field, within the field of the type's name, that holds a file."""

_LARGEST = 2**53
"""Larger whole numbers are not the same everywhere, and some cannot be sent on."""

_SESSION_BYTES = 16
_OWN_FIELDS = ("policy", "session", "metric", "task")
_NAMES = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks beside the standard: `fusionfactory` in the body, and our headers."""

    policy: Policy | None
    session: str | None
    metric: str | None = None
    task: str | None = None


def expected(body: Mapping[str, Any], name: str, kind: type, *, needed: bool = False) -> Any:  # noqa: ANN401
    """A field of the body; None where it is null or absent.

    Raises:
        Refusal: It is of another kind, or absent and needed (400).
    """
    value = body.get(name)
    if value is None and not needed:
        return None
    if kind is int and type(value) is float and value.is_integer():
        # JSON does not tell 2.0 from 2.
        value = int(value)
    is_huge = type(value) is int and abs(value) > _LARGEST
    if type(value) is not kind or is_huge or (needed and not value):
        state = "is missing" if name not in body else f"cannot be {_shown(value)}"
        msg = f"{name!r} {state}: expected {_NAMES[kind]}" + (", not empty" if needed else "")
        raise Refusal(400, msg, code="invalid_value", param=name)
    return value


def read_own_fields(exchange: Exchange, body: dict[str, Any], client: Client) -> Asked:
    """Takes `fusionfactory` out of the body, for no endpoint knows it.

    Raises:
        Refusal: There is no such policy or field, or one is of the wrong kind (400).
    """
    own = expected(body, "fusionfactory", dict) or {}
    body.pop("fusionfactory", None)
    unknown = next((name for name in own if name not in _OWN_FIELDS), None)
    if unknown is not None:
        *others, last = _OWN_FIELDS
        has = f"{', '.join(others)} or {last}"
        msg = f"'fusionfactory' has no field {unknown[:100]!r}: expected {has}"
        raise Refusal(400, msg, code="unknown_parameter", param="fusionfactory")
    read = exchange.gateway.policies.read
    told = exchange.headers.get("x-fusionfactory-policy"), expected(own, "policy", str)
    policies = [read(policy, "policy") for policy in told if policy]
    session = (
        exchange.headers.get("x-fusionfactory-session")
        or expected(own, "session", str)
        or expected(body, "prompt_cache_key", str)
    )
    metric, task = (
        exchange.headers.get(f"x-fusionfactory-{name}") or expected(own, name, str) or None
        for name in ("metric", "task")
    )
    return Asked(
        policies[0] if policies else None,
        _digest(client.key, session) if session else None,
        metric,
        task,
    )


def read_chat(body: dict[str, Any], size: int, asked: Asked, client: Client) -> Ask:
    """What a chat request asks.

    Args:
        body: The request, in OpenAI's form.
        size: Its bytes.
        asked: What `read_own_fields` found.
        client: Who sends it.

    Raises:
        Refusal: A field that the gateway reads is missing, or of the wrong kind (400).
    """
    model = expected(body, "model", str, needed=True)
    messages = expected(body, "messages", list, needed=True)
    roles = set()
    files, pictures = 0, 0
    for i, message in enumerate(messages):
        if type(message) is not dict:
            msg = f"'messages' holds {_shown(message)}: expected an object with role and content"
            raise Refusal(400, msg, code="invalid_value", param=f"messages[{i}]")
        role = message.get("role")
        roles.add(role if isinstance(role, str) else None)
        if type(message.get("content")) is list:
            more, seen = _files(message["content"])
            files, pictures = files + more, pictures + seen
    session = asked.session
    if session is None and "assistant" in roles:
        session = _digest(client.key, repr(_beginning(messages)))
    return Ask(
        text=user_text(messages),
        model=model,
        policy=asked.policy,
        needs=_needs(body, roles, pictures),
        input_tokens=max(size - files, 0) // _BYTES_PER_TOKEN + pictures * _TOKENS_OF_A_PICTURE,
        output_tokens=_output_tokens(body),
        session=session,
        allowed=client.models,
        metric=asked.metric,
        task=asked.task,
    )


def read_prompt(body: dict[str, Any], size: int, asked: Asked, client: Client) -> Ask:
    """What a request for a completion asks: its prompt, or all of them.

    Raises:
        Refusal: As `read_chat`.
    """
    model = expected(body, "model", str, needed=True)
    prompt = body.get("prompt")
    if not isinstance(prompt, str | list):
        msg = f"'prompt' cannot be {_shown(prompt)}: expected a text or a list"
        raise Refusal(400, msg, code="invalid_value", param="prompt")
    prompts = prompt if isinstance(prompt, list) else [prompt]
    return Ask(
        text="\n".join(text for text in prompts if isinstance(text, str)),
        model=model,
        policy=asked.policy,
        needs=_needs(body, set(), 0),
        input_tokens=size // _BYTES_PER_TOKEN,
        output_tokens=_output_tokens(body),
        session=asked.session,
        allowed=client.models,
        metric=asked.metric,
        task=asked.task,
    )


def _needs(body: Mapping[str, Any], roles: set[str | None], pictures: int) -> frozenset[str]:
    format_ = body.get("response_format")
    count = expected(body, "n", int)
    return frozenset(
        need
        for need, is_needed in (
            ("tools", body.get("tools") or body.get("functions") or "tool" in roles),
            ("images", pictures),
            (
                "json",
                isinstance(format_, dict) and format_.get("type") in {"json_object", "json_schema"},
            ),
            ("logprobs", body.get("logprobs") or body.get("top_logprobs")),
            ("n", count is not None and count > 1),
        )
        if is_needed
    )


def _output_tokens(body: Mapping[str, Any]) -> int | None:
    limits = [expected(body, name, int) for name in ("max_completion_tokens", "max_tokens")]
    return next((int(limit) for limit in limits if limit is not None), None)


def _files(parts: list[Any]) -> tuple[int, int]:
    """Bytes of the files in a message's parts, and how many pictures there are."""
    size, pictures = 0, 0
    for part in parts:
        if type(part) is not dict:
            continue
        kind = part.get("type")
        pictures += kind == "image_url"
        holder = part.get(kind) if isinstance(kind, str) and kind in _FILES else None
        content = holder.get(_FILES[str(kind)]) if isinstance(holder, dict) else holder
        size += len(content) if isinstance(content, str) else 0
    return size, pictures


def _beginning(messages: list[dict[str, Any]]) -> list[Any]:
    """What stays the same for as long as a conversation lasts: up to its first user message."""
    beginning = []
    for message in messages:
        beginning.append((message.get("role"), message.get("content")))
        if message.get("role") == "user":
            break
    return beginning


def _digest(key: str | None, session: str) -> str:
    """A session's name in the log: never the client's own, and another one for every key."""
    told = f"{key or ''}\n{session}".encode("utf-8", "replace")
    return blake2b(told, digest_size=_SESSION_BYTES).hexdigest()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
