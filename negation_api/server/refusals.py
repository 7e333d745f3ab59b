"""Answers that are given without the application, as problems like its own."""

import json
import time
import uuid
from http import HTTPStatus

from gunicorn.http.errors import ParseException

from negation_api.contract.errors import MEDIA_TYPE, describe
from negation_api.http import metrics, parse_errors, telemetry
from negation_api.http.security import HEADERS
from negation_api.inference.admission import retry_after
from negation_api.settings import Settings


def refuse(sock, status: int, settings: Settings, since: float) -> None:
    """Answer a request that no thread was given.

    :param since: when the request began, or the connection, by ``time.monotonic``.
    """
    _answer(sock, _problem(status, settings), seconds=time.monotonic() - since)


def answer_error(sock, error: Exception) -> None:
    """Answer a request that could not be handled, without repeating it."""
    status, detail = 500, None
    if isinstance(error, ParseException):
        status, detail = parse_errors.explain(error)
    _answer(sock, _blank(status, detail), error=type(error).__name__)


def _answer(sock, problem: dict, seconds=None, error: str | None = None) -> None:
    """Send *problem*, and let it be seen in counts and log."""
    request_id, status = uuid.uuid4().hex, problem["status"]
    body = json.dumps(problem)
    head = {
        "Connection": "close",
        "Content-Type": MEDIA_TYPE,
        "Content-Length": len(body),
        "X-Request-Id": request_id,
        **HEADERS,
    }
    if status in (429, 503):
        head["Retry-After"] = retry_after(1)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    sock.sendall("\r\n".join([*lines, "", "" if sock.answers_head else body]).encode())
    metrics.count(None, status)
    telemetry.log_request(status, request_id, seconds, error=error)


def _problem(status: int, settings: Settings) -> dict:
    if status == 408:
        return describe(408, "read-timeout")
    if status == 413:
        detail = f"At most {settings.max_body_bytes} bytes are read; given more."
        return describe(413, "body-too-large", detail=detail)
    if status == 429:
        return describe(429, "queue-full")
    return _blank(status, parse_errors.BY_STATUS.get(status))


def _blank(status: int, detail: str | None) -> dict:
    problem = {"title": HTTPStatus(status).phrase, "status": status}
    return problem | ({"detail": detail} if detail else {})
