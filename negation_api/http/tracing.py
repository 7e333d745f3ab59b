"""OpenTelemetry: a span a request, sent by OTLP over HTTP to ``OTLP_ENDPOINT``.

Imported only when that is set, since it needs ``requirements-otel.txt``. A span holds
what the access log does, and the time of each stage. Of what the client sent it holds
the checked request id, and the ids of ``traceparent``
(https://www.w3.org/TR/trace-context/); a client that says "not sampled" is heeded.
"""

import time

from flask import Flask, g, request

from negation_api import __version__
from negation_api.settings import SettingError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Tracer, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )
except ImportError as error:
    raise SettingError(
        "OTLP_ENDPOINT is set, but OpenTelemetry is not installed: pip install -r"
        " requirements-otel.txt, or negation-api[otel]"
    ) from error

# A collector that hangs delays the end of a worker by the batches in its queue, four.
EXPORT_SECONDS = 2.0


class Tracing:
    """Sends spans from a thread, which a fork would lose: started in the worker."""

    def __init__(self, endpoint: str):
        self._endpoint = endpoint
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self) -> None:
        """Start to send; what comes before is not traced."""
        who = {"service.name": "negation_api", "service.version": __version__}
        self._provider = TracerProvider(
            resource=Resource.create(who), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(self._endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("negation_api", __version__)

    def stop(self) -> None:
        """Send what has not been sent yet."""
        if self._provider:
            self._provider.shutdown()

    def record(self, response):
        """Make the span of the request that *response* answers."""
        if self._tracer:
            ended = time.time_ns()
            span = self._tracer.start_span(
                _name(),
                context=_parent(),
                kind=SpanKind.SERVER,
                attributes=_attributes(response),
                start_time=ended - int(1e9 * g.stopwatch.total()),
            )
            if response.status_code >= 500:
                span.set_status(StatusCode.ERROR)
            span.end(ended)
        return response


def _name() -> str:
    rule = request.url_rule
    return f"{request.method} {rule.rule}" if rule else "unknown route"


def _parent():
    # Nothing but this header: tracestate and baggage may hold anything.
    given = {"traceparent": request.headers.get("traceparent", "")}
    return TraceContextTextMapPropagator().extract(given)


def _attributes(response) -> dict[str, str | int | float]:
    """Name what OpenTelemetry has a name for by that; times in milliseconds."""
    found = {
        "http.response.status_code": response.status_code,
        "negation_api.request_id": g.request_id,
        "negation_api.rows": g.rows,
        "negation_api.tokens": g.tokens,
    }
    if request.url_rule:
        found["http.route"] = request.url_rule.rule
        found["http.request.method"] = request.method
    laps = g.stopwatch.laps.items()
    return found | {f"negation_api.{stage}_ms": 1000 * s for stage, s in laps}


def init_app(app: Flask, endpoint: str) -> Tracing:
    """Called by the application factory when there is an endpoint.

    Before telemetry, whose part is registered later and so is done earlier.
    """
    tracing = Tracing(endpoint)
    app.after_request(tracing.record)
    return tracing
