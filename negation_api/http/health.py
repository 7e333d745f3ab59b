"""GET /health: alive and ready are the same here.

The weights are loaded before Gunicorn forks, so a process that could not load them
never listens. Answers from facts alone; the model is not run.
"""

from flask import Blueprint
from marshmallow import Schema, fields, validate

from negation_api import __version__
from negation_api.contract.reply import AnsweringSchema, dump_model
from negation_api.http.service import service

bp = Blueprint("health", __name__)


class HealthSchema(Schema):
    """The service is there."""

    status = fields.String(required=True, validate=validate.Equal("ok"))
    version = fields.String(required=True)
    model = fields.Nested(AnsweringSchema, required=True)
    labels = fields.List(fields.String(), required=True)
    axes = fields.Dict(
        values=fields.List(fields.String()),
        required=True,
        metadata={"description": "the values of each axis that is answered"},
    )


class UnfitSchema(Schema):
    """The service is about to go, or does not compute what waits."""

    status = fields.String(
        required=True, validate=validate.OneOf(("draining", "stuck"))
    )


@bp.get("/health", strict_slashes=False)
def health():
    """Say that the service is there, or what is wrong."""
    if service().draining:
        return {"status": "draining"}, 503
    if service().batcher.is_stuck:
        return {"status": "stuck"}, 503
    classifier = service().classifier
    return {
        "status": "ok",
        "version": __version__,
        "model": dump_model(classifier),
        "labels": list(classifier.labels),
        "axes": classifier.axes,
    }
