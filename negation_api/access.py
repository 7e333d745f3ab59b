"""Who may ask, and what a browser may do with the answer.

API keys are for the case where the load balancer's own access control is not enough.
The service knows only their SHA-256 digests, several at once, so that a key can be
replaced without a gap. Keys are random (``openssl rand -hex 32``), so a fast digest
is as good as a slow one.
"""

import hashlib
import hmac

from flask import Flask, current_app, request
from werkzeug.exceptions import NotFound, Unauthorized

from negation_api.metrics import is_on_own_port

GUARDED = frozenset({"predict.predict", "metrics.metrics"})  # endpoints
ON_METRICS_PORT = frozenset({"metrics.metrics", "health.health"})
HEADERS = {
    "Cache-Control": "no-store",  # an answer tells about a patient
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class NoKey(Unauthorized):
    """No API key, or one that is not known."""


def _check() -> None:
    if is_on_own_port():
        if request.endpoint not in ON_METRICS_PORT:
            raise NotFound
        return
    digests = current_app.extensions["settings"].key_digests
    if digests and request.endpoint in GUARDED and not _is_known(digests):
        raise NoKey


def _is_known(digests: tuple[bytes, ...]) -> bool:
    """Compare with every digest, in a time that tells nothing (hmac)."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        key = request.headers.get("X-API-Key", "")
    # WSGI gives header bytes as Latin-1 (PEP 3333).
    given = hashlib.sha256(key.strip().encode("latin-1", "replace")).digest()
    return any([hmac.compare_digest(given, digest) for digest in digests])


def _protect(response):
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def init_app(app: Flask) -> None:
    """Called by the application factory, after telemetry."""
    app.before_request(_check)
    app.after_request(_protect)
