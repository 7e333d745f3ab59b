"""POST /predict: load -> encode -> classify -> dump."""

import select
import socket
from collections.abc import Callable
from functools import partial

from flask import Blueprint, g, request

from negation_api.contract.reply import dump_model
from negation_api.contract.request import load_query
from negation_api.http.service import service
from negation_api.scoring import dump, encode

bp = Blueprint("predict", __name__)


@bp.post("/predict")
def predict():
    """Give the assertion status of every entity asked for."""
    parts = service()
    settings, classifier, batcher = parts.settings, parts.classifier, parts.batcher
    deadline = g.stopwatch.started + settings.request_timeout
    batcher.check_room(deadline)
    body = request.get_json()
    g.stopwatch.lap("parse")
    query = load_query(body, settings)
    g.stopwatch.lap("validate")
    rows = encode(query, classifier, settings.max_request_tokens, g.stopwatch.lap)
    flat = [row for document in rows for row in document]
    g.rows, g.tokens = len(flat), sum(map(len, flat))
    waited = partial(g.stopwatch.lap, "queue")
    gone = _hung_up(request.environ)
    predictions = batcher.classify(flat, deadline, gone, waited)
    g.labels = [prediction.label for prediction in predictions]
    g.stopwatch.lap("forward")
    reply = dump(query, rows, iter(predictions))
    g.stopwatch.lap("dump")
    time_ms = round(1000 * g.stopwatch.total(), 3)
    return {**reply, "model": dump_model(classifier), "time_ms": time_ms}


def _hung_up(environ) -> Callable[[], bool]:
    """Make a function that tells whether the client has closed its connection."""
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return lambda: False
    # Polled first: the socket has a time-out, and a recv would wait for all of it.
    poller = select.poll()
    poller.register(connection, select.POLLIN)

    def hung_up() -> bool:
        if not poller.poll(0):
            return False
        try:
            return not connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    return hung_up
