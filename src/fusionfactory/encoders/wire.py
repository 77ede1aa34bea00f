"""One request to an OpenAI-compatible embeddings endpoint, by the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.endpoints import asked_wait_s, check_url, one_line, read_key, status_hint
from fusionfactory.errors import EncoderError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["Endpoint"]

_LONGEST_WAIT_S = 60.0
_SHOWN = 300


@dataclass(frozen=True)
class Endpoint:
    """Where to ask and how often. Holds the name of the key's variable, never the key."""

    base_url: str
    api_key_env: str
    timeout_s: float
    retries: int
    backoff_s: float

    def embed(self, model: str, texts: Sequence[str], dimensions: int | None) -> FloatArray:
        """(n, d) float32 rows, in the order of the texts.

        Raises:
            InputError: The URL cannot be used.
            EncoderError: The endpoint failed or answered something else.
        """
        body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        answer = self._ask(json.dumps(body).encode())
        return _rows(answer, len(texts), dimensions, self._url())

    def _ask(self, body: bytes) -> bytes:
        request = self._request(body)
        opener = urllib.request.build_opener(_NoRedirect)
        attempt = 0
        while True:
            try:
                with opener.open(request, timeout=self.timeout_s) as response:
                    read: bytes = response.read()
                    return read
            except urllib.error.HTTPError as error:
                with error:
                    why = self._explain(error)
                    wait_s = asked_wait_s(error.headers.get)
                if attempt >= self.retries or not (error.code == 429 or error.code >= 500):
                    raise EncoderError(why) from None
            except (OSError, http.client.HTTPException) as error:
                why = f"{self._url()} cannot be reached: {type(error).__name__}: {error}"
                wait_s = None
                if attempt >= self.retries:
                    raise EncoderError(why) from None
            backoff_s = self.backoff_s * 2**attempt if wait_s is None else wait_s
            time.sleep(min(backoff_s, _LONGEST_WAIT_S))
            attempt += 1

    def _request(self, body: bytes) -> urllib.request.Request:
        check_url(self.base_url)
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url(), body, headers)  # noqa: S310  checked above
        key = self._key()
        if key:
            # Unredirected, so that the key goes to no other host.
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        return request

    def _key(self) -> str:
        try:
            return read_key(self.api_key_env)
        except InputError as error:
            raise EncoderError(error.message) from None

    def _url(self) -> str:
        return f"{self.base_url.rstrip('/')}/embeddings"

    def _explain(self, error: urllib.error.HTTPError) -> str:
        try:
            body = error.read(16_384).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            body = ""
        hint = status_hint(error.code, self.api_key_env)
        return f"{self._url()} answered {error.code}{hint}: {one_line(body, self._key())}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they would turn a POST into a GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        return None


def _rows(answer: bytes, count: int, dimensions: int | None, url: str) -> FloatArray:
    try:
        data = json.loads(answer)["data"]
        places = [int(item.get("index", i)) for i, item in enumerate(data)]
        rows = [_row(item["embedding"]) for item in data]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        shown = answer[:_SHOWN].decode(errors="replace")
        msg = f"{url} answered no embeddings ({type(error).__name__}: {error}): {shown}"
        raise EncoderError(msg) from error
    if sorted(places) != list(range(count)):
        msg = f"{url} answered {len(places)} rows for {count} texts, or numbered them wrongly"
        raise EncoderError(msg)
    widths = {row.size for row in rows}
    if len(widths) != 1 or (dimensions is not None and widths != {dimensions}):
        wanted = "one length" if dimensions is None else f"{dimensions} numbers each"
        msg = f"{url} answered rows of {sorted(widths)} numbers, expected {wanted}"
        raise EncoderError(msg)
    matrix: FloatArray = np.empty((count, widths.pop()), dtype=np.float32)
    matrix[places] = rows
    return matrix


def _row(value: str | list[float]) -> FloatArray:
    """A row from base64 of little-endian float32, or from a list of numbers."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
    return np.array(value, dtype=np.float32).reshape(-1)
