"""Every error as application/problem+json (RFC 9457); nothing else sets its status.

raised                               status  type
BadJSON                              400     /problems/not-json
errors.Invalid                       422     /problems/validation-error
security.NoKey                       401     /problems/no-key, with WWW-Authenticate
werkzeug RequestEntityTooLarge       413     /problems/body-too-large
request_body.NotJSONType             415     about:blank; names the header to add
request_body.UnknownCoding           415     about:blank, with Accept-Encoding
markers.EntityTooLong                422     /problems/validation-error
markers.SentenceTooLong              422     /problems/validation-error
admission.QueueFull                  429     /problems/queue-full, with Retry-After
admission.DeadlinePassed             504     /problems/deadline-passed
gunicorn ParseException              400     about:blank: chunks that are none
admission.ClientGone                 499     about:blank, read by nobody
any other HTTPException              its     about:blank
anything else                        500     about:blank; its type is logged

What the types mean is said in ``contract/errors.py``.
"""

import json
import logging

from flask import Blueprint, Flask, Response, current_app, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import (
    BadRequest,
    GatewayTimeout,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    TooManyRequests,
    UnprocessableEntity,
    UnsupportedMediaType,
    default_exceptions,
)

from negation_api.contract.errors import MEDIA_TYPE, TYPES, Invalid, describe
from negation_api.contract.errors import without_text
from negation_api.contract.json import BadJSON
from negation_api.http import parse_errors
from negation_api.http.security import NoKey
from negation_api.http.service import service
from negation_api.inference.admission import ClientGone, DeadlinePassed, QueueFull

bp = Blueprint("problems", __name__)
log = logging.getLogger(__name__)


class ClientClosedRequest(HTTPException):
    """Nobody reads this answer; the status is nginx's, for the access log."""

    code = 499
    name = "Client Closed Request"


def _respond(error: HTTPException, problem: dict) -> Response:
    """Replace the body of *error*'s response; its status and headers stay."""
    response = error.get_response()
    response.data = json.dumps(problem)
    response.content_type = MEDIA_TYPE
    return response


def _http(error: HTTPException, **members) -> Response:
    return _respond(error, {"title": error.name, "status": error.code, **members})


def _not_json(error: BadJSON) -> Response:
    problem = describe(400, "not-json", detail=str(error))
    return _respond(BadRequest(), problem)


def _invalid(error: Invalid) -> Response:
    return _respond(UnprocessableEntity(), error.problem())


def _too_large(error: RequestEntityTooLarge) -> Response:
    allowed, given = current_app.config["MAX_CONTENT_LENGTH"], request.content_length
    if not given or request.content_encoding:
        given = "more"  # than that came out of it
    detail = f"At most {allowed} bytes are read; given {given}."
    return _respond(error, describe(413, "body-too-large", detail=detail))


def _not_taken(error: UnsupportedMediaType) -> Response:
    return _http(error, detail=error.description)


def _no_key(error: NoKey) -> Response:
    response = _respond(error, describe(401, "no-key"))
    response.headers["WWW-Authenticate"] = 'Bearer realm="negation_api"'
    return response


def _queue_full(error: QueueFull) -> Response:
    response = _respond(TooManyRequests(), describe(429, "queue-full"))
    response.headers["Retry-After"] = str(error.retry_after)
    return response


def _deadline(error: DeadlinePassed) -> Response:
    allowed = service().settings.request_timeout
    detail = f"At most {allowed:g} s may pass."
    problem = describe(504, "deadline-passed", detail=detail)
    return _respond(GatewayTimeout(), problem)


def _gone(error: ClientGone) -> Response:
    return _http(ClientClosedRequest())


def _not_http(error: ParseException) -> Response:
    status, detail = parse_errors.explain(error)
    return _http(default_exceptions[status](), detail=detail)


def _log_exception(exc_info) -> None:
    types, place = without_text(exc_info[1])
    more = {"error": types, "place": place, "request_id": g.get("request_id")}
    log.error("unexpected error", extra=more)


@bp.get("/problems/<kind>")
def explain(kind: str):
    """Explain a problem type."""
    if kind not in TYPES:
        raise NotFound
    title, meaning = TYPES[kind]
    return {"type": f"/problems/{kind}", "title": title, "meaning": meaning}


def init_app(app: Flask) -> None:
    """Called by the application factory."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(BadJSON, _not_json)
    app.register_error_handler(Invalid, _invalid)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(UnsupportedMediaType, _not_taken)
    app.register_error_handler(NoKey, _no_key)
    app.register_error_handler(QueueFull, _queue_full)
    app.register_error_handler(ParseException, _not_http)
    app.register_error_handler(DeadlinePassed, _deadline)
    app.register_error_handler(ClientGone, _gone)
    app.log_exception = _log_exception
    app.register_blueprint(bp)
