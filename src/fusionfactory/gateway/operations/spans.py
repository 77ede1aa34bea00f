"""Spans of OpenTelemetry by its conventions for generative AI; needs the extra `otel`.

A request is a span with a child per call of an endpoint. They are made once the request is over,
with its times, so that tracing is off the path of the answer. Where they go is said as everywhere
in OpenTelemetry: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME` and their kin.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from fusionfactory.errors import MissingExtraError

if TYPE_CHECKING:
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.log.record import Attempt, Record

__all__ = ["Spans", "exported_spans"]

_ENABLED_BY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}
_BROKEN = 400


class Spans:
    """Makes the spans of a request.

    Args:
        provider: A `TracerProvider` of OpenTelemetry.
        fleet: The arms, to name models and endpoints by.
        prompts: Whether prompts and answers may be in them.
    """

    def __init__(self, provider: Any, fleet: Fleet, *, prompts: bool = False) -> None:  # noqa: ANN401  an optional package's
        self.fleet = fleet
        self._provider, self._prompts = provider, prompts
        self._tracer = provider.get_tracer("fusionfactory.gateway")

    def __call__(self, record: Record) -> None:
        """Makes the spans of a request that is over, and ends them."""
        from opentelemetry import trace

        operation = _OPERATIONS.get(record.api, "chat")
        begun = _ns(record.at)
        span = self._tracer.start_span(
            f"{operation} {record.asked}",
            kind=trace.SpanKind.SERVER,
            start_time=begun,
            attributes=_known(self._request(record, operation)),
        )
        if record.status >= _BROKEN or record.error is not None:
            span.set_status(trace.StatusCode.ERROR)
        within = trace.set_span_in_context(span)
        at = begun
        for attempt in record.attempts:
            end = at + _ns(attempt.latency_s)
            child = self._tracer.start_span(
                f"{operation} {self._model(attempt)}",
                context=within,
                kind=trace.SpanKind.CLIENT,
                start_time=at,
                attributes=_known(self._call(record, attempt, operation)),
            )
            if attempt.error is not None:
                child.set_status(trace.StatusCode.ERROR)
            child.end(end)
            at = at if attempt.hedge else end
        span.end(begun + _ns(record.latency_s or 0.0))

    def close(self) -> None:
        """Sends what waits."""
        self._provider.shutdown()

    def _request(self, record: Record, operation: str) -> dict[str, Any]:
        quality, cost = record.estimates.get(record.arm or "", (None, None))
        facts = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "fusionfactory",
            "gen_ai.request.model": record.asked,
            "gen_ai.response.model": record.arm,
            "gen_ai.response.id": record.id,
            "gen_ai.conversation.id": record.session,
            "gen_ai.usage.input_tokens": record.input_tokens,
            "gen_ai.usage.output_tokens": record.output_tokens,
            "gen_ai.response.finish_reasons": record.finish_reason and (record.finish_reason,),
            "http.response.status_code": record.status,
            "error.type": str(record.status) if record.status >= _BROKEN else None,
            "fusionfactory.arm": record.arm,
            "fusionfactory.why": record.why,
            "fusionfactory.policy": record.policy,
            "fusionfactory.router": record.router,
            "fusionfactory.propensity": record.propensity,
            "fusionfactory.expected_quality": quality,
            "fusionfactory.expected_cost_usd": cost,
            "fusionfactory.cost_usd": record.cost_usd,
            "fusionfactory.cache": record.cache,
        }
        if self._prompts:
            facts["gen_ai.input.messages"] = _message("user", record.text)
            facts["gen_ai.output.messages"] = _message("assistant", record.response)
        return facts

    def _call(self, record: Record, attempt: Attempt, operation: str) -> dict[str, Any]:
        endpoint = self.fleet[attempt.arm].endpoint if attempt.arm in self.fleet else None
        answered = attempt.error is None
        used = _used(record, attempt.arm) if answered else (None, None)
        url = urlsplit(endpoint.base_url) if endpoint else None
        return {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": endpoint and (endpoint.provider or endpoint.name),
            "gen_ai.request.model": self._model(attempt),
            "gen_ai.usage.input_tokens": used[0],
            "gen_ai.usage.output_tokens": used[1],
            "server.address": url and url.hostname,
            "server.port": url and (url.port or (443 if url.scheme == "https" else 80)),
            "http.response.status_code": attempt.status,
            "error.type": None if answered else str(attempt.status or "failed"),
            "fusionfactory.arm": attempt.arm,
            "fusionfactory.cost_usd": attempt.cost_usd,
            "fusionfactory.hedge": attempt.hedge,
        }

    def _model(self, attempt: Attempt) -> str:
        known = attempt.arm in self.fleet
        return self.fleet[attempt.arm].asks_for if known else attempt.arm


def exported_spans(fleet: Fleet, *, prompts: bool = False) -> Spans | None:
    """Spans that are sent where the environment says; None where it says nothing.

    Raises:
        MissingExtraError: It does, but the extra `otel` is not installed.
    """
    if not any(os.environ.get(name) for name in _ENABLED_BY):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        what = f"Tracing, which {_ENABLED_BY[0]} asks for,"
        raise MissingExtraError(what, "otel") from None
    name = os.environ.get("OTEL_SERVICE_NAME", "fusionfactory")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider, fleet, prompts=prompts)


def _used(record: Record, arm: str) -> tuple[int | None, int | None]:
    """Tokens of the prompt and the answer of an arm that answered."""
    if record.plan is None:
        return record.input_tokens, record.output_tokens
    found = [said for said in record.plan.said if said.arm == arm]
    return (found[0].input_tokens, found[0].output_tokens) if found else (None, None)


def _ns(seconds: float) -> int:
    """Whole microseconds: a double holds no finer time since 1970."""
    return round(seconds * 1e6) * 1000


def _message(role: str, text: str | None) -> str | None:
    if text is None:
        return None
    said = [{"role": role, "parts": [{"type": "text", "content": text}]}]
    return orjson.dumps(said).decode()


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
