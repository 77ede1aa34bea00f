"""`endpoint`: any OpenAI-compatible `/embeddings` endpoint."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, Self

from fusionfactory.encoders.cached import CachedEncoder
from fusionfactory.encoders.wire import Endpoint
from fusionfactory.endpoints import check_url
from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.types import FloatArray

__all__ = ["EndpointEncoder"]


class EndpointEncoder(CachedEncoder):
    """Rows as the endpoint gives them. An empty text is sent as a blank, which endpoints accept.

    Args:
        model: Name of the model there.
        base_url: What stands before `/embeddings`, for example `https://api.openai.com/v1`.
        api_key_env: Name of the environment variable that holds the key; no key is sent where it
            is unset. The key itself stands nowhere in this object.
        dimensions: Columns to ask for, where the model lets one choose.
        batch: Texts in one request.
        concurrency: Requests at a time.
        max_characters: A longer text is cut to its first characters.
        timeout_s: Seconds to wait for one answer.
        retries: Further attempts after 429, 5xx or a broken connection.
        backoff_s: Seconds before the first further attempt, doubled each time; `Retry-After` wins.
        cache: Whether to keep rows on disk.
    """

    name: ClassVar[str] = "endpoint"
    movable: ClassVar[bool] = False

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        api_key_env: str = "OPENAI_API_KEY",
        dimensions: int | None = None,
        batch: int = 64,
        concurrency: int = 4,
        max_characters: int = 24_000,
        timeout_s: float = 60.0,
        retries: int = 5,
        backoff_s: float = 0.5,
        cache: bool = True,
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.dimensions = dimensions
        self.batch = batch
        self.concurrency = concurrency
        self.max_characters = max_characters
        self.timeout_s = timeout_s
        self.retries = retries
        self.backoff_s = backoff_s
        self.cache = cache

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """`endpoint:MODEL@URL`."""
        model, _, url = argument.rpartition("@")
        if not model or not url.startswith(("http://", "https://")):
            msg = "expected endpoint:MODEL@URL, for example endpoint:nomic@http://localhost:8000/v1"
            raise InputError(msg, field="encoder")
        check_url(url)
        return cls(model=model, base_url=url)

    def fingerprint(self) -> str:
        """Model, URL and what else a row depends on."""
        url = self.base_url.rstrip("/")
        return f"endpoint:{self.model}@{url}:{self.dimensions or ''}:{self.max_characters}"

    def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yields the rows of each request, in order.

        Raises:
            InputError: The URL cannot be used.
            EncoderError: The endpoint failed, or answered something else than one row per text.
        """
        endpoint = Endpoint(
            self.base_url, self.api_key_env, self.timeout_s, self.retries, self.backoff_s
        )
        batches = [
            [text[: self.max_characters] or " " for text in texts[i : i + self.batch]]
            for i in range(0, len(texts), self.batch)
        ]
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="embeddings")
        try:
            yield from pool.map(
                lambda batch: endpoint.embed(self.model, batch, self.dimensions), batches
            )
        finally:
            # Without this an error would wait for every batch that is still to be sent.
            pool.shutdown(wait=False, cancel_futures=True)
