"""A service elsewhere, asked as a model here is."""

import os
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count

import httpx2

from negation_api.contract.errors import Invalid
from negation_api.contract.listed import load_list
from negation_api.library.predictor import Predictor, to_json
from negation_api.settings import Settings

BUSY = 429, 503  # nothing was computed; later there may be room
TOO_MUCH = 413, 422  # of what was sent, or wrong with it
FAILED = 500, 504  # in the middle of it
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 8.0  # where the service says none
IDLE_SECONDS = 60.0  # below the service's KEEPALIVE


class ServiceError(RuntimeError):
    """The service did not answer; the message holds nothing of what was sent.

    :ivar status: of HTTP, or None where there was none.
    """

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message, status)  # so that it can be pickled
        self.status = status

    def __str__(self) -> str:
        return self.args[0]


class Unanswered(ServiceError):
    """It failed on what was sent, or had no time for all of it."""


class Client(Predictor):
    """Answers spans of texts by a service at *url*.

    Keeps its connections; any number of threads may use it, and a forked process opens
    its own. Where the service has no room (429, 503) the same is asked again after the
    seconds it gives. What is too much for one request is asked in several.

    :param url: of the service, without ``/predict``.
    :param api_key: where the service wants one.
    :param timeout: seconds for one request, with all waiting for room.
    """

    failures = Invalid, Unanswered

    def __init__(
        self,
        url: str = "http://localhost:8000",
        api_key: str | None = None,
        timeout: float = 120.0,
    ):
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._held: tuple[int, httpx2.Client] | None = None  # with the process's id

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_held": None}

    def close(self) -> None:
        """Close the connections; another call would open new ones."""
        held, self._held = self._held, None
        if held and held[0] == os.getpid():
            held[1].close()

    def describe(self) -> dict:
        """Say which model answers: the ``model`` of a reply, with name and hash.

        :raises ServiceError: when it cannot be asked.
        """
        return _read(self._send("GET", "/health", None))["model"]

    def _sought(self, terms: list | str | None) -> str | list | None:
        """Say what is wrong with the list; how long it may be the service knows."""
        if terms is not None:
            load_list(terms, Settings(max_entity_chars=sys.maxsize))
        return terms

    def _ask(self, body: dict, sought: str | list | None = None) -> dict:
        if sought is not None and not body.keys() & {"entities", "terms", "sentence"}:
            body = {**body, "terms": sought}
        return _read(self._send("POST", "/predict", to_json(body)))

    def _send(self, method: str, path: str, content: bytes | None) -> httpx2.Response:
        """Give the response to a request, asked until there is room or no time left."""
        deadline = time.monotonic() + self._timeout
        for attempt in count():
            left = max(deadline - time.monotonic(), 0.001)
            response = self._exchange(method, path, content, left)
            pause = _pause(response.headers.get("Retry-After", ""), attempt)
            is_late = time.monotonic() + pause >= deadline
            if response.status_code not in BUSY or is_late:
                return response
            time.sleep(pause)

    def _exchange(self, method: str, path: str, content, seconds: float):
        """Send a request once, or twice where the kept connection turns out closed."""
        request = self._connections().build_request(
            method, self._url + path, content=content, timeout=seconds
        )
        try:
            try:
                return self._connections().send(request)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                return self._connections().send(request)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            kind = type(error).__name__
            raise ServiceError(f"{self._url} cannot be asked ({kind})") from None

    def _connections(self) -> httpx2.Client:
        held = self._held
        if held is None or held[0] != os.getpid():
            headers = {"Content-Type": "application/json"}
            if self._api_key:
                headers["Authorization"] = f"Bearer {self._api_key}"
            limits = httpx2.Limits(keepalive_expiry=IDLE_SECONDS)
            client = httpx2.Client(headers=headers, limits=limits)
            self._held = held = os.getpid(), client
        return held[1]


def _pause(retry_after: str, attempt: int) -> float:
    """Give the seconds to wait, by ``Retry-After`` (RFC 9110) or by a guess."""
    if retry_after.isdecimal():
        return max(FIRST_PAUSE_SECONDS, float(retry_after))
    try:
        until = parsedate_to_datetime(retry_after) - datetime.now(UTC)
        return max(FIRST_PAUSE_SECONDS, until.total_seconds())
    except (ValueError, TypeError):
        return min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS)


def _read(response: httpx2.Response) -> dict:
    """Give what *response* holds.

    :raises Invalid: when what was sent is refused.
    :raises ServiceError: for anything else but an answer.
    """
    status = response.status_code
    try:
        body = response.json()
        if status == 200:
            body["model"]  # which all that the service answers has
            return body
        title, errors = body["title"], body.get("errors", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ServiceError(f"{status}, not an answer of the service", status) from None
    if status in TOO_MUCH:
        raise Invalid.read(errors) if errors else Invalid.at(body.get("detail", title))
    kind = Unanswered if status in FAILED else ServiceError
    raise kind(f"{status}: {title}", status)
