"""Where the service is found: addresses, prefixes, slashes, other methods."""

import re
import socket

import pytest

from conftest import KeywordClassifier, running
from negation_api.server.listening import addresses
from negation_api.server.executor import _lane
from negation_api.settings import SettingError, Settings
from server import Server

PREFIX = "/nlp/negation"
LIGHT = ("--pythonpath", "tests")
SENTENCE = {"sentence": "denies [entity] pain [entity]"}
PAGES = ["/", "/docs"]


@pytest.fixture
def prefixed():
    settings = Settings(inference_threads=1, url_prefix=PREFIX)
    with running(settings, KeywordClassifier()) as app:
        yield app.test_client()


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json", "/metrics", "/"])
def test_routes_are_below_the_prefix_and_health_is_at_both(prefixed, path):
    assert prefixed.get(PREFIX + path).status_code == 200
    assert prefixed.get(path).status_code == (200 if path == "/health" else 404)


def test_predictions_are_below_the_prefix(prefixed):
    assert prefixed.post(f"{PREFIX}/predict", json=SENTENCE).json["label"] == "ABSENT"
    for path in ("/predict", "/nlp/predict", f"{PREFIX}x/predict", f"{PREFIX}{PREFIX}"):
        reply = prefixed.post(path, json=SENTENCE)
        assert reply.status_code == 404
        assert reply.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["/negation//process", "/predict//", "/docs//x"])
def test_no_answer_leads_elsewhere(client, path):
    """A redirect would name http:// and the Host that came; a note follows it."""
    for reply in (client.post(path, json=SENTENCE), client.get(path)):
        assert reply.status_code in (404, 405) and "Location" not in reply.headers


@pytest.mark.parametrize(
    "target, lane",
    {
        "POST /negation/process": "patient",
        "POST //negation/process/": "patient",
        "POST /nlp/termexists/process?a": "patient",
        "POST /nlp//termexists/process": "patient",
        "POST /predict": None,
        "GET //health": "health",
        "GET /docs": "read",
    }.items(),
)
def test_a_request_is_in_the_lane_of_its_route(target, lane):
    assert _lane(f"{target} HTTP/1.1\r\n".encode(), b"/nlp") == lane


def test_a_prefix_alone_is_the_page(prefixed):
    reply = prefixed.get(PREFIX)
    assert reply.status_code == 308 and reply.headers["Location"] == f"{PREFIX}/"


def test_the_description_tells_the_prefix(prefixed, client):
    assert prefixed.get(f"{PREFIX}/openapi.json").json["servers"] == [{"url": PREFIX}]
    assert "servers" not in client.get("/openapi.json").json


@pytest.mark.parametrize("page", PAGES)
def test_what_pages_link_to_is_there_wherever_they_are(prefixed, client, page):
    """Links are relative: also behind a proxy that strips a prefix."""
    html = prefixed.get(PREFIX + page).text
    links = set(re.findall(r'(?:href|src)="([^"#]+)"', html))
    assert links and not any(link.startswith(("/", "http")) for link in links)
    for link in links:
        with client.get(f"/{link}") as plain:
            assert plain.status_code == 200
        with prefixed.get(f"{PREFIX}/{link}") as below:
            assert below.status_code == 200


@pytest.mark.parametrize("value", ["nlp", "/", "/nlp/", "//nlp", "/a b", "/..", "/a?b"])
def test_what_is_no_prefix_stops_the_start(value):
    with pytest.raises(SettingError, match="URL_PREFIX"):
        Settings.from_env({"URL_PREFIX": value})


def test_a_slash_at_the_end_is_passed_over(client):
    assert client.post("/predict/", json=SENTENCE).json["label"] == "ABSENT"
    assert client.get("/health/").status_code == 200


def test_head_and_options_are_answered(client):
    whole, head = client.get("/health"), client.head("/health")
    assert head.status_code == 200 and head.data == b""
    assert head.content_length == whole.content_length
    reply = client.options("/predict")
    assert reply.status_code == 200
    assert set(reply.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


# --- addresses ------------------------------------------------------------------


@pytest.mark.parametrize("value", ["localhost", "1.2.3", "::1%lo", "[::1]", "*"])
def test_what_is_no_address_stops_the_start(value):
    with pytest.raises(SettingError, match="HOST"):
        Settings.from_env({"HOST": value})


@pytest.mark.parametrize("host", ["::", "::0", "0::", "0:0:0:0:0:0:0:0", "::0.0.0.0"])
def test_without_ipv6_it_listens_on_ipv4(monkeypatch, host):
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    settings = Settings.from_env({"HOST": host})
    assert addresses(settings.host, 80) == ["0.0.0.0:80"]


def ask(host: str, port: int, path: str) -> int:
    with socket.create_connection((host, port), timeout=10) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        return int(connection.recv(65536).split()[1])


@pytest.fixture(scope="module")
def everywhere():
    env = {"WEB_CONCURRENCY": "1", "URL_PREFIX": PREFIX}
    with Server("", env, "light:app", LIGHT, host="::1") as server:
        yield server


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_it_listens_on_both_families(everywhere, host):
    for path in ("/health", f"{PREFIX}/health", f"{PREFIX}/", f"{PREFIX}/docs"):
        assert ask(host, everywhere.port, path) == 200
    assert ask(host, everywhere.port, "/docs") == 404


def test_an_address_may_be_chosen():
    env = {"WEB_CONCURRENCY": "1", "HOST": "::1"}
    with Server("", env, "light:app", LIGHT, host="::1") as server:
        assert ask("::1", server.port, "/health") == 200
        with pytest.raises(ConnectionRefusedError):
            ask("127.0.0.1", server.port, "/health")
