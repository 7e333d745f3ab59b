"""negation_api: the assertion status of clinical entities over HTTP.

Importing the package costs nothing; ``create_app`` is the table of contents.
"""

from flask import Flask

from negation_api.batching import Batcher
from negation_api.cores import Cores, give_memory_back
from negation_api.seats import Seats
from negation_api.settings import Settings, available_cpus

__version__ = "0.1.0"


class Lifecycle:
    """Whether this worker is about to stop.

    :ivar draining: set when the worker was told to go; read by ``/health``.
    """

    draining = False


def create_app(settings: Settings, classifier) -> Flask:
    """Build the WSGI application.

    The batcher's threads are not started: see ``start`` in ``gunicorn.conf.py``.

    :param settings: limits and times.
    :param classifier: has ``labels``, ``artefact``, ``precision``, ``batch_tokens``,
        ``encode(sentence, marked) -> ids`` and ``classify(rows) -> predictions``.
        Passed in, so that tests need no weights.
    """
    # Imported late because they import __version__ from here.
    from negation_api import access, health, metrics, openapi, playground, predict
    from negation_api import problems, schemas, telemetry

    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json = schemas.StrictJSON(app)
    app.extensions["settings"] = settings
    app.extensions["classifier"] = classifier
    app.extensions["lifecycle"] = Lifecycle()
    shape = settings.shape()
    app.extensions["seats"] = Seats(shape.workers)
    num_cores = max(shape.threads, available_cpus())
    cores = Cores(num_cores, shape.workers, settings.cpus())
    app.extensions["cores"] = cores
    app.extensions["batcher"] = Batcher(
        classifier,
        threads=shape.threads,
        cores=cores,
        batch_tokens=settings.batch_tokens or classifier.batch_tokens,
        queue_tokens=settings.queue_tokens,
        slice_tokens=settings.slice_tokens,
        batch_timeout=settings.batch_timeout,
        max_requests=settings.max_active_requests,
        observe=metrics.observe_batch,
        rest=give_memory_back,
    )
    if settings.otlp_endpoint:
        from negation_api import tracing  # needs packages that nothing else does

        tracing.init_app(app)
    telemetry.init_app(app)
    metrics.init_app(app)
    access.init_app(app)
    problems.init_app(app)
    app.register_blueprint(health.bp)
    app.register_blueprint(predict.bp)
    app.register_blueprint(openapi.bp)
    playground.init_app(app)
    return app
