"""GET /health: alive and ready are the same here.

The weights are loaded before Gunicorn forks, so a process that could not load them
never listens. Answers from facts alone; the model is not run.
"""

from flask import Blueprint, current_app

from negation_api import __version__
from negation_api.contract.reply import dump_model

bp = Blueprint("health", __name__)


@bp.get("/health")
def health():
    """Say that the service is there, or that it is about to go."""
    if current_app.extensions["lifecycle"].draining:
        return {"status": "draining"}, 503
    classifier = current_app.extensions["classifier"]
    return {
        "status": "ok",
        "version": __version__,
        "model": dump_model(classifier),
        "labels": list(classifier.labels),
    }
