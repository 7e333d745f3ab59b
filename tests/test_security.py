"""API keys, and headers on every answer."""

import hashlib

import pytest

from fork_server import Server
from negation_api import create_app
from negation_api.http.service import service_of
from negation_api.settings import SettingError, Settings

OLD, NEW = "an old key", "a new key"
DIGESTS = ", ".join(hashlib.sha256(key.encode()).hexdigest() for key in (OLD, NEW))


@pytest.fixture
def guarded(classifier):
    settings = Settings(inference_threads=1, api_keys_sha256=DIGESTS)
    app = create_app(settings, classifier)
    service_of(app).batcher.start()
    yield app.test_client()
    service_of(app).batcher.stop()


def ask(client, **headers):
    return client.post("/predict", json={"sentence": "x"}, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {OLD}"},
        {"Authorization": f"bearer {NEW}"},
        {"X-API-Key": NEW},
    ],
)
def test_a_known_key_lets_in(guarded, headers):
    assert ask(guarded, **headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {OLD}"},
        {"Authorization": OLD},
        {"X-API-Key": DIGESTS.partition(",")[0]},
        {"X-API-Key": "ключ".encode().decode("latin-1")},
        {"X-API-Key": ""},
    ],
)
def test_anything_else_does_not(guarded, headers):
    reply = ask(guarded, **headers)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="negation_api"'
    assert reply.json["type"] == "/problems/no-key"
    assert guarded.get(reply.json["type"]).status_code == 200


def test_no_key_is_none_even_if_its_digest_is_known(classifier):
    """What sha256sum prints of a variable that was not set."""
    nothing = hashlib.sha256(b"").hexdigest()
    app = create_app(Settings(api_keys_sha256=nothing), classifier)
    for headers in ({}, {"X-API-Key": " "}, {"Authorization": "Bearer "}):
        assert ask(app.test_client(), **headers).status_code == 401


def test_a_key_is_asked_for_before_the_body_is_read(guarded):
    assert guarded.post("/predict", data=b"not JSON").status_code == 401


def test_a_key_is_asked_for_wherever_something_is_posted(guarded):
    rules = guarded.application.url_map.iter_rules()
    paths = [rule.rule for rule in rules if "POST" in rule.methods]
    assert len(paths) >= 3
    for path in paths:
        assert guarded.post(path, json={}).status_code == 401
        reply = guarded.post(path, json={}, headers={"X-API-Key": NEW})
        assert reply.status_code == 422


def test_health_and_documents_need_no_key_and_metrics_do(guarded):
    for path in ("/health", "/openapi.json", "/docs"):
        assert guarded.get(path).status_code == 200
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/metrics", headers={"X-API-Key": NEW}).status_code == 200


def test_without_digests_nobody_is_asked(client):
    assert ask(client).status_code == 200


@pytest.mark.parametrize("value", ["secret", DIGESTS + ",", "a" * 63, ",", "g" * 64])
def test_what_is_no_digest_stops_the_start_and_is_not_shown(value):
    with pytest.raises(SettingError) as caught:
        Settings.from_env({"API_KEYS_SHA256": value})
    assert "API_KEYS_SHA256" in str(caught.value)
    assert value not in str(caught.value) or value == ","


@pytest.mark.parametrize(
    "path, status", [("/health", 200), ("/predict", 405), ("/nowhere", 404)]
)
def test_every_answer_is_guarded_against_browsers(client, path, status):
    reply = client.get(path)
    assert reply.status_code == status
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Access-Control-Allow-Origin" not in reply.headers


# --- other origins --------------------------------------------------------------

FRIEND, STRANGER = "https://notes.example.org", "https://evil.example.org"


@pytest.fixture
def open_client(classifier):
    settings = Settings(
        inference_threads=1,
        cors_origins=f"{FRIEND}, http://localhost:3000",
        api_keys_sha256=DIGESTS,
    )
    app = create_app(settings, classifier)
    service_of(app).batcher.start()
    yield app.test_client()
    service_of(app).batcher.stop()


def test_pages_of_a_named_origin_may_read_answers_and_refusals(open_client):
    for key, status in ((NEW, 200), ("wrong", 401)):
        reply = ask(open_client, Origin=FRIEND, **{"X-API-Key": key})
        assert reply.status_code == status
        assert reply.headers["Access-Control-Allow-Origin"] == FRIEND
        assert "X-Request-Id" in reply.headers["Access-Control-Expose-Headers"]
        assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert reply.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in reply.headers


def test_a_preflight_needs_no_key(open_client):
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    reply = open_client.options("/predict", headers=asked)
    assert reply.status_code == 200
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("headers", [{"Origin": STRANGER}, {"Origin": "null"}, {}])
def test_other_pages_may_not(open_client, headers):
    reply = open_client.get("/health", headers=headers)
    assert reply.status_code == 200
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert reply.headers["Vary"] == "Origin"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_without_the_setting_nobody_s_page_may(client):
    reply = client.get("/health", headers={"Origin": FRIEND})
    assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize("value", ["*", "notes.example.org", f"{FRIEND}/", ",", "null"])
def test_what_is_no_origin_stops_the_start(value):
    with pytest.raises(SettingError, match="CORS_ORIGINS"):
        Settings.from_env({"CORS_ORIGINS": value})


def test_no_answer_says_which_server_it_is(toy_model):
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "1"}) as server:
        for reply in (
            server.get("/health"),
            server.get("/nowhere"),
            server.post(b"{"),
            server.request("BREW", "/health", None, {}),
        ):
            assert "server" not in reply.headers
            assert b"gunicorn" not in reply.body.lower()
