"""`POST /v1/embeddings`, by the models of the settings that embed."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import UnsupportedError
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.ask import Ask, Routed
from fusionfactory.gateway.routing.policies import AUTO
from fusionfactory.gateway.surface.answering import answer
from fusionfactory.gateway.surface.form import Request
from fusionfactory.gateway.surface.reading import expected

if TYPE_CHECKING:
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.surface.exchange import Exchange
    from fusionfactory.gateway.surface.form import Rendering

__all__ = ["embeddings"]

_BYTES_PER_TOKEN = 4
_FLOAT = np.dtype("<f4")
_FORMATS = ("float", "base64")


async def embeddings(exchange: Exchange) -> None:
    """Embeds texts."""
    await answer(exchange, _read)


def _read(exchange: Exchange, body: dict[str, Any], size: int, client: Client) -> Request:
    body.pop("fusionfactory", None)
    name = expected(body, "model", str, needed=True)
    texts = body.get("input")
    if not isinstance(texts, str | list) or not texts:
        msg = "'input' is missing or empty: expected a text, or a list of texts or tokens"
        raise Refusal(400, msg, code="invalid_value", param="input")
    format_ = expected(body, "encoding_format", str) or "float"
    if format_ not in _FORMATS:
        msg = f"'encoding_format' cannot be {format_!r}: expected {' or '.join(_FORMATS)}"
        raise Refusal(400, msg, code="invalid_value", param="encoding_format")
    embedders = exchange.gateway.fleet.embedders
    own = [name for name in embedders if client.may_use(name)]
    if name == AUTO and own:
        name = own[0]
    if name not in embedders:
        has = ", ".join(own) or "none: set `embeds` of a model in the settings"
        msg = f"no model {name[:100]!r} embeds; those that do: {has}"
        raise Refusal(404, msg, code="model_not_found", param="model")
    client.check(name)
    given = texts if isinstance(texts, list) else [texts]
    ask = Ask(
        text="\n".join(text for text in given if isinstance(text, str)),
        model=name,
        input_tokens=size // _BYTES_PER_TOKEN,
        allowed=client.models,
    )
    routed = Routed((name,), "fixed")
    return Request("embeddings", "embeddings", body, ask, _EmbeddingForm(format_), routed=routed)


@dataclass(frozen=True, slots=True)
class _EmbeddingForm:
    """Embeddings in the encoding that was asked for, whichever the endpoint knows."""

    encoding: str

    def whole(self, document: dict[str, Any], model: str) -> dict[str, Any]:
        document["model"] = model
        data = document.get("data")
        for item in data if isinstance(data, list) else ():
            if isinstance(item, dict):
                item["embedding"] = self._encoded(item.get("embedding"))
        return document

    def stream(self, model: str) -> Rendering:
        msg = f"{model} cannot embed as a stream"
        raise UnsupportedError(msg)

    def _encoded(self, embedding: object) -> object:
        if self.encoding == "base64" and isinstance(embedding, list):
            return base64.b64encode(np.asarray(embedding, _FLOAT).tobytes()).decode()
        if self.encoding == "float" and isinstance(embedding, str):
            try:
                return np.frombuffer(base64.b64decode(embedding), _FLOAT).tolist()
            except (binascii.Error, ValueError):
                return embedding
        return embedding
