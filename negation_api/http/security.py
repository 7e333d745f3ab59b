"""Who may ask, and what a browser may do with the answer.

API keys are for the case where the load balancer's own access control is not enough.
The service knows only their SHA-256 digests, several at once, so that a key can be
replaced without a gap. Keys are random (``openssl rand -hex 32``), so a fast digest
is as good as a slow one.
"""

import hashlib
import hmac

from flask import Flask, request
from werkzeug.exceptions import NotFound, Unauthorized

from negation_api.http.metrics import is_on_own_port
from negation_api.http.service import service

GUARDED = frozenset(  # endpoints
    {"predict.predict", "cnlpt.negation", "cnlpt.term_exists", "metrics.metrics"}
)
ON_METRICS_PORT = frozenset({"metrics.metrics", "health.health"})
HEADERS = {
    "Cache-Control": "no-store",  # an answer tells about a patient
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-API-Key,"
    " X-Request-Id",
    "Access-Control-Max-Age": "600",
}


class NoKey(Unauthorized):
    """No API key, or one that is not known."""


def _check() -> None:
    if is_on_own_port():
        if request.endpoint not in ON_METRICS_PORT:
            raise NotFound
        return
    if service().settings.url_prefix and not request.root_path:
        if request.endpoint != "health.health":
            raise NotFound
    digests = service().settings.key_digests
    # A preflight carries no key; it is answered from what routes there are.
    guarded = request.endpoint in GUARDED and request.method != "OPTIONS"
    if digests and guarded and not _is_known(digests):
        raise NoKey


def _is_known(digests: tuple[bytes, ...]) -> bool:
    """Compare with every digest, in a time that tells nothing (hmac)."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        key = request.headers.get("X-API-Key", "")
    key = key.strip()
    if not key:
        return False
    # WSGI gives header bytes as Latin-1 (PEP 3333).
    given = hashlib.sha256(key.encode("latin-1", "replace")).digest()
    return any([hmac.compare_digest(given, digest) for digest in digests])


def _protect(response):
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    origins = service().settings.origins
    if origins:
        _allow(response, origins)
    return response


def _allow(response, origins: frozenset[str]) -> None:
    """Let pages of *origins* ask and read (https://fetch.spec.whatwg.org/#cors)."""
    response.vary.add("Origin")
    if request.headers.get("Origin") not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if "Access-Control-Request-Method" in request.headers:  # a preflight
        response.headers.update(PREFLIGHT)
    else:
        exposed = "Retry-After, Server-Timing, X-Request-Id"
        response.headers["Access-Control-Expose-Headers"] = exposed


def init_app(app: Flask) -> None:
    """Called by the application factory, after telemetry."""
    app.before_request(_check)
    app.after_request(_protect)
