"""OpenTelemetry: off unless asked for, and nothing in it that a client sent."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

import fork_server
from negation_api import create_app
from negation_api.http.service import service_of
from negation_api.settings import SettingError, Settings
from server import ROOT, Server, free_port

CANARY = "zebrafish"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ERROR = 2  # https://opentelemetry.io/docs/specs/otel/trace/api/#set-status


class Collector:
    """Takes what is sent by OTLP over HTTP, on a free loopback port.

    :ivar bodies: the bytes of each request.
    """

    def __enter__(self):
        self.bodies = bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> list:
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def attributes(span) -> dict:
    values = ((pair.key, pair.value) for pair in span.attributes)
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values}


def ask_everything(server) -> None:
    """Make requests of which each holds the canary, one way or another."""
    body = {"sentence": f"denies [entity] {CANARY} [entity]"}
    traced = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": f"a={CANARY}"}
    server.post(body, **traced, **{"X-Request-Id": "r1", "User-Agent": CANARY})
    server.post(
        body,
        baggage=f"a={CANARY}",
        traceparent=CANARY,
        **{"X-Request-Id": f"{CANARY}!"},
    )
    server.post(body, traceparent=f"00-{TRACE}-{PARENT}-00", **{"X-Request-Id": "r2"})
    server.post({CANARY: 1}, path=f"/predict?{CANARY}", **{"X-Request-Id": "r3"})
    server.get(f"/{CANARY}", **{"X-Request-Id": "r4"})
    server.request(CANARY.upper(), "/predict", None, {"X-Request-Id": "r5"})


@pytest.fixture(scope="module")
def collector(toy_model):
    """What was collected of a server that has stopped, all of it sent by then."""
    with Collector() as collector:
        env = {"OTLP_ENDPOINT": collector.endpoint, "WEB_CONCURRENCY": "2"}
        with fork_server.Server(model=toy_model, env=env) as server:
            ask_everything(server)
            assert server.stop() == 0
            assert server.stderr() == ""
        yield collector


@pytest.fixture(scope="module")
def by_id(collector):
    """Spans by their request id."""
    return {attributes(s)["negation_api.request_id"]: s for s in collector.spans()}


def test_a_span_tells_what_the_access_log_does_and_the_stages(by_id):
    span = by_id["r1"]
    found = attributes(span)
    assert span.name == "POST /predict"
    assert found["http.route"] == "/predict"
    assert found["http.request.method"] == "POST"
    assert found["http.response.status_code"] == 200
    assert found["negation_api.rows"] == 1
    assert found["negation_api.tokens"] > 5
    stages = "parse validate context tokenize queue forward dump".split()
    times = [found[f"negation_api.{stage}_ms"] for stage in stages]
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert 0 < sum(times) / 1000 <= seconds


def test_a_span_joins_the_trace_that_the_client_names(by_id):
    assert by_id["r1"].trace_id.hex() == TRACE
    assert by_id["r1"].parent_span_id.hex() == PARENT


def test_what_is_no_trace_begins_a_new_one(by_id):
    (span,) = (
        span
        for made_up, span in by_id.items()
        if len(made_up) == 32 and span.name == "POST /predict"
    )
    assert span.parent_span_id == b""
    assert span.trace_id.hex() not in (TRACE, "0" * 32)


def test_a_request_that_is_not_to_be_sampled_is_not(by_id):
    assert "r2" not in by_id


def test_refusals_are_traced_without_what_was_refused(by_id):
    statuses = {
        key: attributes(by_id[key])["http.response.status_code"]
        for key in ("r3", "r4", "r5")
    }
    assert statuses == {"r3": 422, "r4": 404, "r5": 405}
    assert by_id["r4"].name == by_id["r5"].name == "unknown route"


def test_the_canary_is_in_no_exported_byte(collector):
    assert collector.bodies
    for body in collector.bodies:
        assert CANARY.encode() not in body.lower()


def test_an_error_of_ours_is_an_error_of_the_span(classifier):
    def fail(rows):
        raise RuntimeError(CANARY)

    classifier.classify = fail
    with Collector() as collector:
        settings = Settings(inference_threads=1, otlp_endpoint=collector.endpoint)
        app = create_app(settings, classifier)
        app.config["PROPAGATE_EXCEPTIONS"] = False  # as in production
        service_of(app).batcher.start()
        service_of(app).tracing.start()
        reply = app.test_client().post("/predict", json={"sentence": "x"})
        service_of(app).tracing.stop()
        service_of(app).batcher.stop()
        assert reply.status_code == 500
        (span,) = collector.spans()
        assert span.status.code == ERROR
        assert CANARY.encode() not in b"".join(collector.bodies)


def test_a_collector_that_is_gone_costs_no_answer_and_no_stop(toy_model):
    env = {
        "OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}/v1/traces",
        "WEB_CONCURRENCY": "1",
    }
    with fork_server.Server(model=toy_model, env=env) as server:
        assert server.post({"sentence": "x"}).status == 200
        assert server.stop() == 0
        assert server.stderr() == ""


# --- whether it is there at all -------------------------------------------------

OFF = """
import sys
from conftest import KeywordClassifier
from negation_api import create_app
from negation_api.settings import Settings

create_app(Settings(inference_threads=1), KeywordClassifier())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_it_is_not_imported_unless_asked_for():
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    run = subprocess.run(
        [sys.executable, "-c", OFF],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"


def test_without_its_packages_the_start_ends_in_one_line(toy_model, tmp_path):
    site = tmp_path / "sitecustomize.py"  # imported before anything else
    site.write_text("import sys; sys.modules['opentelemetry'] = None")
    env = {"OTLP_ENDPOINT": "http://127.0.0.1:1/", "PYTHONPATH": str(tmp_path)}
    with pytest.raises(RuntimeError) as failed:
        Server(model=toy_model, env=env).start()
    (line,) = (line for line in str(failed.value).splitlines() if "OTLP" in line)
    assert line == (
        "negation_api cannot start: OTLP_ENDPOINT is set, but OpenTelemetry is not"
        " installed: pip install -r requirements-otel.txt, or negation-api[otel]"
    )
    assert "Traceback" not in str(failed.value)


@pytest.mark.parametrize(
    "value",
    ["collector.example", "grpc://c:4317", "http://", "http://u:secret@c/v1"],
)
def test_what_is_no_address_stops_the_start_and_is_not_shown(value):
    with pytest.raises(SettingError, match="OTLP_ENDPOINT") as caught:
        Settings.from_env({"OTLP_ENDPOINT": value})
    assert value not in str(caught.value) or value == "http://"
