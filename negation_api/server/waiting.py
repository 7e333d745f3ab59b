"""Which connections wait for their client, for what, and until when."""

import selectors
import time
from collections.abc import Iterator

from negation_api.server.connection import Connection

# No request has come yet; none after the last; one is coming; an answer is being
# taken; our side is closed.
STATES = ("silent", "idle", "receiving", "sending", "lingering")


class Waiting:
    """Connections that wait for their client, each for one of ``STATES``."""

    def __init__(self, poller: selectors.BaseSelector):
        # connection -> when it is too late, by time.monotonic; the first is due first
        self._due: dict[str, dict[Connection, float]] = {name: {} for name in STATES}
        self._name: dict[Connection, str] = {}
        self._poller = poller

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._name))

    def put(self, conn: Connection, name: str, due: float, event: int, call) -> None:
        """Have *conn* wait for nothing but *name*.

        :param event: of ``selectors``.
        :param call: called with the connection whenever that comes.
        """
        before = self._name.get(conn)
        if before:
            del self._due[before][conn]
            self._poller.modify(conn.sock, event, lambda sock: call(conn))
        else:
            self._poller.register(conn.sock, event, lambda sock: call(conn))
        self._name[conn] = name
        self._due[name][conn] = due

    def remove(self, conn: Connection) -> None:
        """Have *conn* wait no longer, if it did."""
        name = self._name.pop(conn, None)
        if name:
            del self._due[name][conn]
            self._poller.unregister(conn.sock)

    def what(self, conn: Connection) -> str | None:
        """Name what *conn* waits for."""
        return self._name.get(conn)

    def count(self, name: str) -> int:
        return len(self._due[name])

    def oldest(self, name: str) -> Connection | None:
        """Give the one that has waited for *name* the longest."""
        return next(iter(self._due[name]), None)

    def least_missed(self) -> Connection | None:
        """Give the oldest that has asked nothing, of those whose request we await."""
        unasked = [self.oldest(name) for name in ("silent", "receiving")]
        unasked = sorted(filter(None, unasked), key=lambda conn: conn.begun)
        others = [self.oldest(name) for name in ("sending", "idle")]
        return next(filter(None, unasked + others), None)

    def expired(self, name: str) -> Iterator[Connection]:
        """Give those that waited for *name* too long; each must be removed."""
        now, due = time.monotonic(), self._due[name]
        while due:
            conn, when = next(iter(due.items()))
            if when > now:
                return
            yield conn

    def cap(self, name: str, deadline: float) -> None:
        """Let nobody wait for *name* past *deadline*."""
        due = self._due[name]
        due.update({conn: min(when, deadline) for conn, when in due.items()})
