"""The endpoints of cnlp_transformers, for programs that ask these.

Their client does not retry, and a refusal loses a note. So a request waits for its turn
and for room within the time-out; the worker has threads of their own for them, since
one that waits holds one. ``CNLPT=off`` leaves the routes out.
"""

from dataclasses import replace

from flask import Blueprint, Response, g, jsonify

from negation_api.contract.cnlpt import NEGATION, TERM_EXISTS, Question, form_of
from negation_api.http.predict import answers_to, parse
from negation_api.http.service import service

# Times as much as of /predict is taken in a request: a note refused is a note lost.
PATIENCE = 10

bp = Blueprint("cnlpt", __name__)


@bp.post(NEGATION.path, strict_slashes=False)
def negation():
    """Say of every entity whether it is negated."""
    return _process(NEGATION)


@bp.post(TERM_EXISTS.path, strict_slashes=False)
def term_exists():
    """Say of every entity whether the patient has it, or may have it."""
    return _process(TERM_EXISTS)


def _process(question: Question) -> Response:
    settings = service().settings
    deadline = g.stopwatch.started + settings.request_timeout
    with service().batcher.permit(deadline, patient=True):
        body = parse(deadline)
        form = form_of(body)
        max_entities = PATIENCE * settings.max_entities
        query = form.load(body, question, replace(settings, max_entities=max_entities))
        max_tokens = PATIENCE * settings.max_request_tokens
        with form.naming():
            _, predictions, _ = answers_to(query, deadline, max_tokens, patient=True)
        reply = form.dump(question, query.documents[0], predictions)
        g.stopwatch.lap("dump")
        return jsonify(reply)
