"""GET /health: what a balancer is told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from negation_api import create_app
from negation_api.http.service import service_of
from negation_api.settings import Settings
from server import wait_until


def test_a_worker_that_takes_nothing_is_not_healthy(classifier):
    """Its threads are not started, so that the row waits."""
    app = create_app(Settings(inference_threads=1, batch_timeout=1.0), classifier)
    client, batcher = app.test_client(), service_of(app).batcher
    assert client.get("/health").status_code == 200
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(batcher.classify, [[1]], time.monotonic() + 20)
        wait_until(lambda: client.get("/health").status_code == 503, 10, "a 503")
        assert client.get("/health").json == {"status": "stuck"}
        threading.Thread(target=batcher.start).start()
        classifier.vocabulary += ["denies", "pain"]
        waits.result()
    wait_until(lambda: client.get("/health").status_code == 200, 10, "a 200")
    batcher.stop()
