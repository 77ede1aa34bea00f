"""`GET /openapi.json`: what is served, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.surface.schemas import (
    METRIC,
    NAME,
    POLICY,
    SCHEMAS,
    TASK,
    TEXT,
    or_empty,
)
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from fusionfactory.gateway.surface.exchange import Exchange

__all__ = ["description", "openapi"]

_HEADERS = [
    {
        "name": f"x-fusionfactory-{name}",
        "in": "header",
        "required": False,
        "description": f"The same as `fusionfactory.{name}` in the body, and before it.",
        "schema": schema,
    }
    for name, schema in (
        ("policy", or_empty(POLICY)),
        ("session", TEXT),
        ("metric", TEXT | {"description": METRIC}),
        ("task", TEXT | {"description": TASK}),
    )
]
_ID = {"name": "id", "in": "path", "required": True, "schema": NAME}


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
            "schemas": SCHEMAS,
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
        answers["200"]["content"]["text/event-stream"] = {}
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
    headers = {"x-request-id": {"required": True, "schema": TEXT}}
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
