"""POST /predict: load -> encode -> classify -> dump."""

import select
import socket
import time
from collections.abc import Callable
from functools import partial

from flask import Blueprint, g, jsonify, request

from negation_api.contract.labels import AXES, Prediction
from negation_api.contract.reply import dump_model
from negation_api.contract.request import Query, load_query
from negation_api.http.service import service
from negation_api.inference.admission import DeadlinePassed
from negation_api.scoring import Row, asked, dump, encode

bp = Blueprint("predict", __name__)


@bp.post("/predict", strict_slashes=False)
def predict():
    """Give the assertion status of every entity asked for."""
    deadline = g.stopwatch.started + service().settings.request_timeout
    with service().batcher.permit(deadline):
        return jsonify(_answer(deadline))


def _answer(deadline: float) -> dict:
    classifier, settings = service().classifier, service().settings
    query = load_query(parse(deadline), settings)
    max_tokens = settings.max_request_tokens
    rows, predictions, classify = answers_to(query, deadline, max_tokens)
    left = max_tokens - g.tokens
    reply = dump(query, rows, predictions, classifier, classify, left)
    g.stopwatch.lap("dump")
    time_ms = round(1000 * g.stopwatch.total(), 3)
    return {**reply, "model": dump_model(classifier), "time_ms": time_ms}


def parse(deadline: float):
    """Read the body as JSON, if there is time for that."""
    _lap(deadline, "wait")
    body = request.get_json(cache=False)
    _lap(deadline, "parse")
    return body


def answers_to(
    query: Query, deadline: float, max_tokens: int, patient: bool = False
) -> tuple[list[list[Row]], list[Prediction], Callable]:
    """Give the rows of each document, their predictions, and what classifies more.

    :param patient: see :class:`~negation_api.inference.batching.Batcher`.
    """
    parts = service()
    lap = partial(_lap, deadline)
    lap("validate")
    rows = encode(query, parts.classifier, max_tokens, lap)
    gone = _hung_up(request.environ.get("gunicorn.socket"))
    classify = partial(
        parts.batcher.classify, deadline=deadline, is_gone=gone, patient=patient
    )
    flat = [row for document in rows for row in document]
    predictions = asked(query, _classify(flat, classify))
    g.answers = _answers(predictions)
    return rows, predictions, classify


def _lap(deadline: float, stage: str) -> None:
    """Book a stage that is done; no other begins when time is up."""
    g.stopwatch.lap(stage)
    if time.monotonic() > deadline:
        raise DeadlinePassed("deadline passed")


def _classify(rows: list[Row], classify: Callable) -> list[Prediction]:
    g.rows, g.tokens = len(rows), sum(map(len, rows))
    # What is left to do here is to wait; our worker lets another request begin.
    connection = request.environ.get("gunicorn.socket")
    getattr(connection, "end_turn", lambda: None)()
    predictions = classify(rows, on_begun=partial(g.stopwatch.lap, "queue"))
    g.stopwatch.lap("forward")
    return predictions


def _answers(predictions: list[Prediction]) -> dict[str, list]:
    """Give what is answered to each question, to be counted."""
    answers = {"label": [prediction.label for prediction in predictions]}
    for axis in AXES:
        choices = [getattr(prediction, axis) for prediction in predictions]
        answers[axis] = [choice.label for choice in choices if choice]
    answers["layers"] = [each.layers for each in predictions if each.layers]
    return answers


def _hung_up(connection) -> Callable[[], bool]:
    """Make a function that tells whether the client has closed its connection."""
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
