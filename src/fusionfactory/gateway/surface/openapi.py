"""`GET /openapi.json`: what is served, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.version import __version__

if TYPE_CHECKING:
    from fusionfactory.gateway.surface.exchange import Exchange

__all__ = ["description", "openapi"]

_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_COUNT = {"type": ["integer", "null"]}
_FLAG = {"type": ["boolean", "null"]}
_OBJECT = {"type": "object"}

_OWN = {
    "type": ["object", "null"],
    "description": "What this gateway alone knows; endpoints do not see it.",
    "properties": {
        "policy": {
            "type": ["string", "null"],
            "description": "The trade-off: `cheap`, `balanced`, `best`, a weight of cost from 0 to "
            "1, `price:USD_PER_POINT` or `budget:USD_PER_1000_QUERIES`.",
        },
        "session": {"type": ["string", "null"], "description": "Name of the conversation."},
    },
}
_MODEL = {
    **_NAME,
    "description": "`auto` is routed, as are `auto:cheap`, `auto:balanced`, `auto:best` and "
    "`auto:<weight of cost>`; the name of a model or an arm is not.",
}
_LIMITS = {
    "stream": _FLAG,
    "stream_options": {"type": ["object", "null"]},
    "n": _COUNT,
    "max_tokens": _COUNT,
    "max_completion_tokens": _COUNT,
    "prompt_cache_key": {"type": ["string", "null"]},
    "fusionfactory": _OWN,
}


def _object(needed: list[str], **fields: Any) -> dict[str, Any]:  # noqa: ANN401  JSON schemas
    return {"type": "object", "required": needed, "properties": fields}


_SCHEMAS: dict[str, Any] = {
    "Error": _object(
        ["error"],
        error=_object(
            ["message", "type"],
            message=_TEXT,
            type={"type": ["string", "null"]},
            param={},
            code={},
        ),
    ),
    "ChatRequest": _object(
        ["model", "messages"],
        model=_MODEL,
        messages={"type": "array", "minItems": 1, "items": _OBJECT},
        **_LIMITS,
    ),
    "CompletionRequest": _object(
        ["model", "prompt"], model=_MODEL, prompt={"type": ["string", "array"]}, **_LIMITS
    ),
    "EmbeddingRequest": _object(
        ["model", "input"],
        model=_NAME,
        input={"type": ["string", "array"], "minLength": 1, "minItems": 1},
        encoding_format={"enum": ["float", "base64", None]},
    ),
    "ResponseRequest": _object(
        ["model", "input"],
        model=_MODEL,
        input={"type": ["string", "array"], "minLength": 1, "minItems": 1},
        instructions={"type": ["string", "null"]},
        max_output_tokens=_COUNT,
        stream=_FLAG,
        tools={"type": ["array", "null"], "items": _OBJECT},
        text={"type": ["object", "null"]},
        reasoning={"type": ["object", "null"]},
        fusionfactory=_OWN,
    ),
    "FeedbackRequest": {
        **_object(
            ["id"],
            id={**_NAME, "description": "`x-request-id` of the answer."},
            score={"type": ["number", "null"], "minimum": 0, "maximum": 1},
            thumbs={"enum": ["up", "down", None]},
            target={"type": ["string", "null"], "description": "What it should have said."},
        ),
    },
    "Feedback": _object(
        ["object", "id", "new"], object={"const": "feedback"}, id=_TEXT, new={"type": "boolean"}
    ),
    "Answer": _object(["model"], model=_TEXT),
    "Model": _object(
        ["id", "object", "created", "owned_by"],
        id=_TEXT,
        object={"const": "model"},
        created={"type": "integer"},
        owned_by=_TEXT,
    ),
    "Models": _object(
        ["object", "data"],
        object={"const": "list"},
        data={"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
    ),
    "Decision": _object(["id"], id=_TEXT),
}

_HEADERS = [
    {
        "name": f"x-fusionfactory-{name}",
        "in": "header",
        "required": False,
        "description": f"The same as `fusionfactory.{name}` in the body, and before it.",
        "schema": _TEXT,
    }
    for name in ("policy", "session")
]
_ID = {"name": "id", "in": "path", "required": True, "schema": _NAME}


async def openapi(exchange: Exchange) -> None:
    """Describes the gateway; to anyone, for it says nothing of the settings."""
    await exchange.reply(description())


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FusionFactory",
            "version": __version__,
            "description": "An OpenAI-compatible endpoint that routes every request to the model "
            "that suits it. Fields that are not listed are passed on as they are.",
        },
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
        "paths": {
            "/v1/chat/completions": _post("Answers a conversation", "ChatRequest", routed=True),
            "/v1/completions": _post("Goes on with a text", "CompletionRequest", routed=True),
            "/v1/responses": _post(
                "Answers a conversation, as a response; without state: it is not kept",
                "ResponseRequest",
                routed=True,
            ),
            "/v1/embeddings": _post("Embeds texts", "EmbeddingRequest"),
            "/v1/feedback": _post(
                "Says how good an answer was: a score, thumbs or a target",
                "FeedbackRequest",
                "Feedback",
            ),
            "/v1/models": _get("Lists what `model` may be", "Models"),
            "/v1/models/{id}": _get("Describes a model", "Model", [_ID]),
            "/v1/decisions/{id}": _get(
                "Explains who answered a request, and why", "Decision", [_ID]
            ),
        },
    }


def _post(
    summary: str, asked: str, answer: str = "Answer", *, routed: bool = False
) -> dict[str, Any]:
    answers = {"200": _answer(summary, answer)}
    if routed:
        answers["200"]["content"]["text/event-stream"] = {"schema": _TEXT}
    return {
        "post": {
            "summary": summary,
            "parameters": _HEADERS if routed else [],
            "requestBody": {"required": True, "content": _json(asked)},
            "responses": answers | _ERRORS,
        }
    }


def _get(summary: str, answer: str, parameters: list[Any] | None = None) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "parameters": parameters or [],
            "responses": {"200": _answer(summary, answer)} | _ERRORS,
        }
    }


def _answer(summary: str, schema: str) -> dict[str, Any]:
    headers = {"x-request-id": {"required": True, "schema": _TEXT}}
    return {"description": summary, "headers": headers, "content": _json(schema)}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


_ERRORS = {
    status: {"description": why, "content": _json("Error")}
    for status, why in {
        "400": "The request is malformed, or asks for what no model can do",
        "401": "There is no good key",
        "403": "The key may not do that",
        "404": "There is no such model or decision",
        "413": "The request is too long",
        "415": "The request's body is packed",
        "429": "A limit or a budget is used up: see `retry-after`",
        "default": "The answer failed, here or at the endpoint, whose error is passed on",
    }.items()
}
