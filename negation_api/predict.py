"""POST /predict: load -> encode -> classify -> dump."""

import select
import socket
from collections.abc import Callable, Iterator
from functools import partial

from flask import Blueprint, current_app, g, request
from marshmallow import ValidationError

from negation_api.assertion import MAX_READ_CHARS, EntityTooLong, SentenceTooLong
from negation_api.problems import invalid
from negation_api.schemas import (
    Document,
    Query,
    Refused,
    dump_document,
    dump_model,
    dump_refused,
    load_query,
)

# Clinical text has some 4.5; rows of it that are cut to the model's length, twice that.
MAX_CHARS_PER_TOKEN = 12

bp = Blueprint("predict", __name__)


@bp.post("/predict")
def predict():
    """Give the assertion status of every entity asked for."""
    settings, classifier, batcher = (
        current_app.extensions[key] for key in ("settings", "classifier", "batcher")
    )
    deadline = g.stopwatch.started + settings.request_timeout
    batcher.check_room(deadline)
    body = request.get_json()
    g.stopwatch.lap("parse")
    query = load_query(body, settings)
    g.stopwatch.lap("validate")
    rows = _encode(query, classifier, settings.max_request_tokens)
    flat = [row for document in rows for row in document]
    g.rows, g.tokens = len(flat), sum(map(len, flat))
    waited = partial(g.stopwatch.lap, "queue")
    gone = _hung_up(request.environ)
    predictions = batcher.classify(flat, deadline, gone, waited)
    g.labels = [prediction.label for prediction in predictions]
    g.stopwatch.lap("forward")
    reply = _dump(query, rows, iter(predictions))
    g.stopwatch.lap("dump")
    time_ms = round(1000 * g.stopwatch.total(), 3)
    return {**reply, "model": dump_model(classifier), "time_ms": time_ms}


def _encode(query: Query, classifier, max_tokens: int) -> list[list[list[int]]]:
    """Make the rows of each document; one that is or becomes refused has none.

    :raises ValidationError: when the whole request has more than *max_tokens*, or so
        many characters that reading them all would take long.
    """
    rows, num_tokens, num_chars = [], 0, 0
    for index, document in enumerate(query.documents):
        rows.append([])
        if isinstance(document, Refused):
            continue
        sentences = document.sentences
        num_chars += sum(min(len(each), MAX_READ_CHARS) for each in sentences)
        _check_chars(query.form, MAX_CHARS_PER_TOKEN * max_tokens, num_chars)
        g.stopwatch.lap("context")
        try:
            for row in encode_sentences(document, sentences, classifier):
                rows[-1].append(row)
                num_tokens += len(row)
                if num_tokens > max_tokens:
                    _refuse_tokens(query.form, max_tokens, num_tokens)
        except TooLong as error:
            if query.form != "documents":
                raise
            query.documents[index] = Refused(document.id, error.messages)
            rows[-1] = []
        g.stopwatch.lap("tokenize")
    return rows


def _check_chars(form: str, allowed: int, given: int) -> None:
    if given > allowed:
        what = "characters in all sentences that the entities stand in"
        raise ValidationError({form: [f"At most {allowed} {what}; given {given}."]})


class TooLong(ValidationError):
    """One document holds an entity or a sentence that does not fit the model."""


def encode_sentences(document: Document, sentences, classifier) -> Iterator[list[int]]:
    """Give the token ids of each of *sentences*, which are *document*'s.

    :raises TooLong: with the place in the document.
    """
    for index, sentence in enumerate(sentences):
        try:
            yield classifier.encode(sentence, document.marked)
        except (EntityTooLong, SentenceTooLong) as error:
            if document.entities is None:
                raise TooLong({"sentence": [str(error)]}) from None
            raise TooLong({"entities": {index: {"end": [str(error)]}}}) from None


def _refuse_tokens(form: str, allowed: int, given: int) -> None:
    message = f"At most {allowed} tokens in a request; given {given} or more."
    raise ValidationError({form: [message]})


def _dump(query: Query, rows, predictions) -> dict:
    """Build the reply, less what all forms have in common."""
    documents = []
    for document, encoded in zip(query.documents, rows, strict=True):
        if isinstance(document, Refused):
            documents.append(dump_refused(document, invalid(document.messages)))
        else:
            own = [next(predictions) for _ in encoded]
            documents.append(dump_document(query, document, own))
    return {"documents": documents} if query.form == "documents" else documents[0]


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
