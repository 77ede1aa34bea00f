"""JSON schemas of what is sent and answered: what the gateway checks, and no more."""

from __future__ import annotations

from typing import Any

__all__ = ["METRIC", "NAME", "POLICY", "SCHEMAS", "TASK", "TEXT", "or_empty"]

TEXT = {"type": "string"}
NAME = {"type": "string", "minLength": 1}
POLICY = {
    "type": "string",
    "description": "The trade-off: `cheap`, `balanced`, `best`, a weight of cost from 0 to 1, "
    "`price:USD_PER_POINT` or `budget:USD_PER_1000_QUERIES`, the latter with an optional "
    "`,max:USD_PER_QUERY`.",
    "pattern": r"^(cheap|balanced|best|performance|balance|cost|0(\.[0-9]{1,9})?|1(\.0)?"
    r"|(price|budget):[1-9][0-9]{0,5}(,max:[1-9][0-9]{0,5})?)$",
}

METRIC = "By which a plan compares answers: `number`, `multiple_choice`, ..."
TASK = "The training task whose metric a plan compares answers by."


def or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """What may be left empty, which counts as nothing."""
    return {"anyOf": [schema, {"const": ""}]}


def _object(needed: list[str], **fields: Any) -> dict[str, Any]:  # noqa: ANN401  JSON schemas
    return {"type": "object", "required": needed, "properties": fields}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_OBJECT = {"type": "object"}
_COUNT = {"type": ["integer", "null"], "minimum": -(2**53), "maximum": 2**53}
_FLAG = {"type": ["boolean", "null"]}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_OBJECT_OR_NULL = {"type": ["object", "null"]}

_OWN = {
    "type": ["object", "null"],
    "description": "What this gateway alone knows; endpoints do not see it.",
    "properties": {
        "policy": _or_null(or_empty(POLICY)),
        "session": {"type": ["string", "null"], "description": "Name of the conversation."},
        "metric": {"type": ["string", "null"], "description": METRIC},
        "task": {"type": ["string", "null"], "description": TASK},
    },
}
_MODEL = {
    **NAME,
    "description": "`auto` is routed, as are `auto:cheap`, `auto:balanced`, `auto:best` and "
    "`auto:<weight of cost>`; the name of a model, an arm or a plan is not.",
    "examples": ["auto"],
}
_SHARED = {
    "stream": _FLAG,
    "stream_options": _OBJECT_OR_NULL,
    "n": _COUNT,
    "max_tokens": _COUNT,
    "max_completion_tokens": _COUNT,
    "prompt_cache_key": _TEXT_OR_NULL,
    "fusionfactory": _OWN,
}

_FUNCTION = _object(["type", "name"], type={"const": "function"}, name=NAME)
_PART = {
    "anyOf": [
        _object(["type", "text"], type={"enum": ["input_text", "output_text"]}, text=TEXT),
        _object(["type", "image_url"], type={"const": "input_image"}, image_url=TEXT),
        _object(["type", "file_data"], type={"const": "input_file"}, file_data=TEXT),
        _object(["type"], type={"enum": ["input_audio", "refusal"]}),
    ]
}
_CONTENT = {"anyOf": [TEXT, {"type": "array", "items": _PART}]}
_ITEM = {
    "anyOf": [
        _object(
            ["role", "content"],
            type={"enum": ["message", None]},
            role={"enum": ["user", "assistant", "system", "developer"]},
            content=_CONTENT,
        ),
        _object(
            ["type", "call_id", "name", "arguments"],
            type={"const": "function_call"},
            call_id=TEXT,
            name=TEXT,
            arguments=TEXT,
        ),
        _object(
            ["type", "call_id", "output"],
            type={"const": "function_call_output"},
            call_id=TEXT,
            output=_CONTENT,
        ),
        _object(["type"], type={"const": "reasoning"}),
    ]
}
_SAID = {"not": _object(["type"], type={"const": "reasoning"})}
_NOTHING = {"type": "null", "description": "The gateway keeps no responses."}

SCHEMAS: dict[str, Any] = {
    "Error": _object(
        ["error"],
        error=_object(["message", "type"], message=TEXT, type=_TEXT_OR_NULL, param={}, code={}),
    ),
    "ChatRequest": _object(
        ["model", "messages"],
        model=_MODEL,
        messages={"type": "array", "minItems": 1, "items": _OBJECT},
        **_SHARED,
    ),
    "CompletionRequest": _object(
        ["model", "prompt"], model=_MODEL, prompt={"type": ["string", "array"]}, **_SHARED
    ),
    "EmbeddingRequest": _object(
        ["model", "input"],
        model=NAME,
        input={"type": ["string", "array"], "minLength": 1, "minItems": 1},
        encoding_format={"enum": ["float", "base64", None]},
    ),
    "ResponseRequest": _object(
        ["model", "input"],
        model=_MODEL,
        input={
            "anyOf": [NAME, {"type": "array", "minItems": 1, "items": _ITEM, "contains": _SAID}]
        },
        instructions=_TEXT_OR_NULL,
        max_output_tokens=_COUNT,
        top_logprobs=_COUNT,
        include={"type": ["array", "null"]},
        tools={"type": ["array", "null"], "items": _FUNCTION},
        tool_choice=_or_null({"anyOf": [TEXT, _FUNCTION]}),
        text=_or_null(
            _object(
                [],
                format=_or_null(
                    _object(["type"], type={"enum": ["text", "json_object", "json_schema"]})
                ),
            )
        ),
        reasoning=_OBJECT_OR_NULL,
        previous_response_id=_NOTHING,
        conversation=_NOTHING,
        prompt=_NOTHING,
        background={"enum": [False, None]},
        stream=_FLAG,
        prompt_cache_key=_TEXT_OR_NULL,
        fusionfactory=_OWN,
    ),
    "FeedbackRequest": {
        **_object(
            ["id"],
            id={**NAME, "description": "`x-request-id` of the answer."},
            score={"type": "number", "minimum": 0, "maximum": 1},
            thumbs={"enum": ["up", "down"]},
            target={"type": "string", "pattern": r"\S", "description": "What is right."},
        ),
        "anyOf": [{"required": [name]} for name in ("score", "thumbs", "target")],
        "not": {"required": ["score", "thumbs"]},
    },
    "Answer": _object(["model"], model=TEXT),
    "Feedback": _object(
        ["object", "id", "new"], object={"const": "feedback"}, id=TEXT, new={"type": "boolean"}
    ),
    "Model": _object(
        ["id", "object", "created", "owned_by"],
        id=TEXT,
        object={"const": "model"},
        created={"type": "integer"},
        owned_by=TEXT,
    ),
    "Models": _object(
        ["object", "data"],
        object={"const": "list"},
        data={"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
    ),
    "Decision": _object(["id"], id=TEXT),
}
