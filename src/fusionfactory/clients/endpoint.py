"""Any OpenAI-compatible `/chat/completions` endpoint, called concurrently and with patience."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from fusionfactory.clients.limits import LONGEST_WAIT_S, Limiter
from fusionfactory.clients.replies import Answer, Source
from fusionfactory.endpoints import check_url, one_line, proxy_for, read_key
from fusionfactory.errors import CallError, InputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    import aiohttp

    from fusionfactory.clients.base import ChatReply, ChatRequest
    from fusionfactory.clients.limits import Leave, Limits

__all__ = ["LARGEST_BODY", "LARGEST_REFUSAL", "EndpointClient", "content_of", "expected_tokens"]

LARGEST_BODY = 32 * 2**20
"""Bytes of an answer, unpacked, at which it is given up."""

LARGEST_REFUSAL = 16_384
"""Bytes that are read of an answer that is none."""

_LONGEST_BACKOFF_S = 60.0
_CHARACTERS_PER_TOKEN = 4
_ANSWER_TOKENS = 256
_KEY_CHARACTERS = 32
_SECRET_HEADERS = {"authorization", "api-key", "x-api-key", "proxy-authorization", "cookie"}
_OK = range(200, 300)


class EndpointClient:
    """Calls an endpoint, as many calls at a time as it bears. Belongs to one event loop.

    A call is tried again after 408, 409, 429, 5xx, a broken or mute connection and an answer that
    is no chat completion; not after another 4xx, a redirect, a spent quota or an empty text, which
    is paid. `x-should-retry` overrules the status. The wait is what the endpoint asks for, else
    random up to a limit that doubles. What asks for a wait longer than `LONGEST_WAIT_S` fails.

    Args:
        base_url: What stands before `/chat/completions`, for example `https://api.openai.com/v1`.
        api_key_env: Name of the environment variable that holds the key; no key is sent where it
            is unset.
        concurrency: Calls at a time at most; overloads lower it for a while.
        requests_per_minute: Requests begun per minute; None for any number.
        tokens_per_minute: Tokens of prompts and answers per minute; None for any number. Before an
            answer is there, they are estimated by the length of the prompt and `max_tokens`.
        timeout_s: Seconds for one attempt, from connecting to the last byte.
        retries: Further attempts after the first.
        backoff_s: Longest wait before the first further attempt.
        headers: Further headers of every request, without secrets.
        limits: Pace the calls in place of those above, such as limits that machines share.
        rng: Source of the jitter.
        sleep: Waits so many seconds.

    Raises:
        InputError: The URL, a limit or a header cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout_s: float = 120.0,
        retries: int = 5,
        backoff_s: float = 0.5,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        check_url(base_url)
        self.base_url = base_url.rstrip("/")
        self.api_key_env = api_key_env
        self.timeout_s, self.retries, self.backoff_s = timeout_s, retries, backoff_s
        self.limiter = Limiter(
            concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
        self._limits: Limits = limits or self.limiter
        self._headers = _checked(headers or {})
        self._rng = rng or random.Random()  # noqa: S311  jitter is no secret
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._source = Source(f"{self.base_url}/chat/completions", api_key_env, "")
        self._proxy: str | None = None
        self._closed = False
        self._waiting: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"EndpointClient({self.base_url!r})"

    @property
    def concurrency(self) -> int:
        """Calls at a time at most."""
        return self._limits.concurrency

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Makes one call.

        Raises:
            CallError: It failed for good, or as often as it may.
            InputError: The request is no JSON or asks for a stream, or the key is malformed.
            UnsupportedError: The client was used in another event loop.
        """
        body = _body(request)
        headers = _idempotency(request.occasion, body)
        tokens = expected_tokens(request.params, body)
        attempt = 0
        while True:
            try:
                return await self._attempt(body, headers, tokens)
            except CallError as error:
                wait_s = error.retry_after_s
                last = attempt >= self.retries or (wait_s or 0.0) > LONGEST_WAIT_S
                if last or not error.retryable:
                    raise
            with self._idle():
                await self._sleep(wait_s or self._backoff_s(attempt))
            attempt += 1

    def drop_waiting(self) -> None:
        """Cancels the tasks whose calls wait for their turn, or to try again."""
        for task in tuple(self._waiting):
            task.cancel()

    @contextmanager
    def _idle(self) -> Iterator[None]:
        """The running task's call is not on its way meanwhile."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  only called from coroutines
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    async def close(self) -> None:
        """Closes the connections; calls under way fail, and so does every later one."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _backoff_s(self, attempt: int) -> float:
        return self._rng.random() * min(self.backoff_s * 2.0**attempt, _LONGEST_BACKOFF_S)

    async def _attempt(self, body: bytes, headers: Mapping[str, str], tokens: float) -> ChatReply:
        async with AsyncExitStack() as stack:
            with self._idle():
                slot = await stack.enter_async_context(self._limits.slot(tokens))
            session = self._open()
            answer = await self._post(session, body, headers)
            return _read(answer, slot)

    def _open(self) -> aiohttp.ClientSession:
        """The session, made at first use, for it belongs to the running loop."""
        if self._closed:
            msg = f"{self.base_url}: the client is closed"
            raise CallError(msg)
        loop = asyncio.get_running_loop()
        if self._session is None:
            self._session = self._connect()
            self._loop = loop
        elif self._loop is not loop:
            msg = f"{self!r} belongs to another event loop: close it there, and make one for this"
            raise UnsupportedError(msg)
        return self._session

    def _connect(self) -> aiohttp.ClientSession:
        import aiohttp

        key = read_key(self.api_key_env)
        self._source = Source(self._source.url, self.api_key_env, key)
        self._proxy = proxy_for(self.base_url)
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        return aiohttp.ClientSession(
            # The limiter counts; a second limit would let the timeout run while calls queue.
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", **self._headers, **authorization},
        )

    async def _post(
        self, session: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        import aiohttp

        start = time.perf_counter()
        try:
            async with session.post(
                self._source.url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                ok = response.status in _OK
                content = await content_of(response, LARGEST_BODY if ok else LARGEST_REFUSAL)
                latency_s = time.perf_counter() - start
                header = response.headers.get
        except TimeoutError:
            why = f"gave no answer within {self.timeout_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            why = f"cannot be reached: {type(error).__name__}: {error}"
        else:
            if ok and len(content) > LARGEST_BODY:
                msg = f"{self._source.url} answered more than {LARGEST_BODY >> 20} MiB"
                raise CallError(msg, status=response.status)
            return Answer(self._source, response.status, header, content, latency_s)
        # Outside the handler: aiohttp's errors hold the request with its key.
        msg = f"{self._source.url} {one_line(why, self._source.key)}"
        raise CallError(msg, retryable=not self._closed)


def _read(answer: Answer, slot: Leave) -> ChatReply:
    """The reply, after the limiter was told how the attempt went."""
    try:
        reply = answer.reply()
    except CallError as error:
        if answer.is_overload:
            slot.overloaded(error.retry_after_s)
        _settle(slot, error.input_tokens, error.output_tokens)
        raise
    slot.succeeded()
    _settle(slot, reply.input_tokens, reply.output_tokens)
    return reply


def _settle(slot: Leave, sent: int | None, received: int | None) -> None:
    if sent is not None and received is not None:
        slot.used(sent + received)


async def content_of(
    response: aiohttp.ClientResponse, most: int, on_piece: Callable[[], object] | None = None
) -> bytes:
    """The body; of a longer one its beginning, at least a byte more than `most`.

    Args:
        response: What to read.
        most: Bytes that are wanted.
        on_piece: Called with every piece that comes.
    """
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        if on_piece is not None:
            on_piece()
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            break
    return b"".join(chunks)


def _body(request: ChatRequest) -> bytes:
    if request.params.get("stream"):
        msg = "streams are not collected: leave it out"
        raise InputError(msg, field="stream")
    fields = {**request.params, "model": request.model, "messages": list(request.messages)}
    try:
        return json.dumps(fields, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        msg = f"the request is no JSON: {error}"
        raise InputError(msg) from None


def _idempotency(occasion: str | None, body: bytes) -> dict[str, str]:
    if occasion is None:
        return {}
    key = hashlib.sha256(occasion.encode("utf-8", "surrogatepass") + b"\0" + body).hexdigest()
    return {"Idempotency-Key": key[:_KEY_CHARACTERS]}


def expected_tokens(params: Mapping[str, Any], body: bytes) -> float:
    """Tokens of a call and its answer before it is made, by its fields and its length."""
    asked = params.get("max_completion_tokens") or params.get("max_tokens")
    answer = asked if isinstance(asked, int) else _ANSWER_TOKENS
    return len(body) / _CHARACTERS_PER_TOKEN + answer


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _SECRET_HEADERS:
            msg = f"the header {name!r} holds a secret: name the key's variable in api_key_env"
            raise InputError(msg, field="headers")
        if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
            msg = f"the header {name!r} or its value is not printable ASCII"
            raise InputError(msg, field="headers")
    return dict(headers)
