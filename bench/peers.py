"""What people deploy: the same model behind four other servers.

    python bench/peers.py pipeline|litserve|mosec|bentoml MODEL PRECISION PORT

Each answers ``POST /predict`` (mosec: ``/inference``) with label and score.

- pipeline: FastAPI and uvicorn, transformers' pipeline with its defaults.
- litserve: https://lightning.ai/docs/litserve, dynamic batching, a worker a core.
- mosec: https://mosecorg.github.io/mosec, dynamic batching, a worker a core.
- bentoml: https://docs.bentoml.com, adaptive batching, a worker a core.
"""

import os
import sys

import torch
from bound import load
from transformers import AutoTokenizer, TextClassificationPipeline

MAX_BATCH = 16
MAX_WAIT_SECONDS = 0.01
CORES = len(os.sched_getaffinity(0))


class Classifier:
    """Tokenizes and classifies a batch, padded to its longest row."""

    def __init__(self, model: str, precision: str):
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        self.network = load(model, precision)

    @torch.inference_mode()
    def __call__(self, sentences: list[str]) -> list[dict]:
        """Give label and score of each sentence."""
        inputs = self.tokenizer(
            sentences,
            padding=True,
            truncation=True,
            max_length=512,
            return_tensors="pt",
        )
        scores, labels = self.network(**inputs).logits.softmax(-1).max(-1)
        names = self.network.config.id2label
        pairs = zip(labels.tolist(), scores.tolist())
        return [{"label": names[label], "score": score} for label, score in pairs]


def pipeline(model: str, precision: str, port: int) -> None:
    """One process, one pipeline, torch's own number of threads."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Query(BaseModel):
        sentence: str

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    classify = TextClassificationPipeline(
        model=load(model, precision), tokenizer=tokenizer
    )
    app = FastAPI()

    @app.post("/predict")
    def predict(query: Query):
        return classify(query.sentence)[0]

    uvicorn.run(app, port=port, log_level="warning")


def litserve(model: str, precision: str, port: int) -> None:
    """A worker a core, batches of what came within the wait."""
    import litserve as ls
    from litserve_api import API

    api = API(model, precision, MAX_BATCH, MAX_WAIT_SECONDS)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=CORES)
    server.run(port=port, log_level="warning", generate_client_file=False)


def mosec(model: str, precision: str, port: int) -> None:
    """A worker a core, batches of what came within the wait."""
    import mosec as server
    from mosec_worker import Worker

    os.environ |= {"BENCH_MODEL": model, "BENCH_PRECISION": precision}
    sys.argv = ["mosec", "--port", str(port), "--timeout", "60000"]
    app = server.Server()
    app.append_worker(
        Worker,
        num=CORES,
        max_batch_size=MAX_BATCH,
        max_wait_time=int(1000 * MAX_WAIT_SECONDS),
    )
    app.run()


def bentoml(model: str, precision: str, port: int) -> None:
    """A worker a core, batches that its dispatcher sizes as it learns."""
    os.environ |= {"BENCH_MODEL": model, "BENCH_PRECISION": precision}
    command = [sys.executable, "-m", "bentoml", "serve", "bento_service:Service"]
    os.execv(sys.executable, [*command, "--port", str(port)])


if __name__ == "__main__":
    servers = (pipeline, litserve, mosec, bentoml)
    {server.__name__: server for server in servers}[sys.argv[1]](
        sys.argv[2], sys.argv[3], int(sys.argv[4])
    )
