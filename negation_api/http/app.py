"""The application factory: which parts there are, and what each is given."""

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from negation_api.contract.json import load_json
from negation_api.http import cnlpt, health, metrics, openapi, playground, predict
from negation_api.http import problems, response_compression, security, telemetry
from negation_api.http.prefix import Prefix
from negation_api.http.request_body import Request
from negation_api.http.service import Service
from negation_api.inference.batching import Batcher
from negation_api.inference.connection_counts import ConnectionCounts
from negation_api.inference.cores import Cores
from negation_api.layout import Layout, available_cpus, pinned_cpus
from negation_api.model.memory import trim_memory
from negation_api.settings import Settings
from negation_api.text.terms import common, common_forms

PARTS = 64  # of JSON, of an entity or a document; a few more than ten are used


class StrictJSON(DefaultJSONProvider):
    """JSON as the files have it too."""

    sort_keys = False

    max_parts: int

    def loads(self, s: str | bytes, **kwargs):
        return load_json(s, self.max_parts)


def create_app(settings: Settings, classifier) -> Flask:
    """Build the WSGI application.

    Its threads are not started: ``gunicorn.conf.py`` does, in each worker.

    :param settings: limits and times.
    :param classifier: has ``labels``, ``artefact``, ``precision``, ``batch_tokens``,
        ``encode(sentence, marked) -> ids`` and ``classify(rows) -> predictions``.
        Passed in, so that tests need no weights.
    """
    common(), common_forms()  # once, for all workers
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.request_class = Request
    # Or "//" is answered with a redirect to an http:// address that the client named.
    app.url_map.merge_slashes = False
    app.json = StrictJSON(app)
    app.json.max_parts = PARTS * (settings.max_entities + settings.max_documents)
    service = app.extensions["negation_api"] = make_service(settings, classifier)
    if settings.otlp_endpoint:
        from negation_api.http import tracing  # needs packages that nothing else does

        service.tracing = tracing.init_app(app, settings.otlp_endpoint)
    telemetry.init_app(app)
    metrics.init_app(app, classifier)
    security.init_app(app)
    response_compression.init_app(app)
    problems.init_app(app)
    app.register_blueprint(health.bp)
    app.register_blueprint(predict.bp)
    app.register_blueprint(openapi.bp)
    if settings.cnlpt:
        app.register_blueprint(cnlpt.bp)
    if settings.url_prefix:
        app.wsgi_app = Prefix(app.wsgi_app, settings.url_prefix)
    if settings.playground:
        app.register_blueprint(playground.bp)
    return app


def make_service(settings: Settings, classifier) -> Service:
    """Make what the routes share; the batcher's threads are not started."""
    layout = Layout.of(settings)
    num_cores = max(layout.threads, available_cpus(settings))
    cores = Cores(num_cores, layout.workers, pinned_cpus(settings))
    batcher = Batcher(
        classifier,
        threads=layout.threads,
        cores=cores,
        batch_tokens=settings.batch_tokens or classifier.batch_tokens,
        queue_tokens=settings.queue_tokens,
        slice_tokens=settings.slice_tokens,
        batch_timeout=settings.batch_timeout,
        max_requests=settings.max_active_requests,
        observe=metrics.observe_batch,
        trim_memory=trim_memory,
    )
    counts = ConnectionCounts(layout.workers)
    return Service(settings, classifier, batcher, cores, counts)
