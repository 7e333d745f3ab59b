"""GET /health: what a balancer is told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from conftest import AxesClassifier, KeywordClassifier, running
from negation_api import create_app
from negation_api.contract.labels import AXES, LABELS
from negation_api.http.service import service_of
from negation_api.model.beside import Beside
from negation_api.settings import Settings
from server import wait_until
from test_openapi import fits


def test_it_lists_what_each_question_may_be_answered(client, axes_client):
    for one, axes in ((client, {}), (axes_client, AXES)):
        reply = one.get("/health").json
        assert reply["labels"] == list(LABELS)
        assert reply["axes"] == {axis: list(values) for axis, values in axes.items()}
        assert fits(reply, "Health")


def test_it_names_the_model_beside(settings):
    both = Beside(KeywordClassifier(), AxesClassifier())
    with running(settings, both) as app:
        reply = app.test_client().get("/health").json
    assert reply["model"]["axes"]["name"] == "keyword" and len(reply["axes"]) == 2
    assert fits(reply, "Health")


def test_a_worker_that_takes_nothing_is_not_healthy(classifier):
    """Its threads are not started, so that the row waits."""
    app = create_app(Settings(inference_threads=1, batch_timeout=1.0), classifier)
    client, batcher = app.test_client(), service_of(app).batcher
    assert client.get("/health").status_code == 200
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(batcher.classify, [(1,)], time.monotonic() + 20)
        wait_until(lambda: client.get("/health").status_code == 503, 10, "a 503")
        assert client.get("/health").json == {"status": "stuck"}
        classifier.vocabulary += ["denies", "pain"]
        threading.Thread(target=batcher.start).start()
        waits.result()
    wait_until(lambda: client.get("/health").status_code == 200, 10, "a 200")
    batcher.stop()
