"""Images as skopeo leaves them, and a registry and a key that know them."""

import base64
import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import images

COMMIT = "c" * 40
MODEL = "bvanaken/clinical-assertion-negation-bert"
REVISION = "b" * 40
BASE = f"docker.io/library/python@sha256:{'f' * 64}"
SCANNED = {"findings": [{"name": "CVE-1", "severity": "HIGH"}]}


def write_image(directory, commit=COMMIT, model=MODEL, base=BASE, salt=""):
    """Write an image without layers; give its directory."""
    values = dict(zip(images.LABELS.values(), (commit, model, REVISION, base)))
    config = json.dumps({"config": {"Labels": values}, "salt": salt}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": images.digest_of(config),
            "size": len(config),
        },
        "layers": [],
    }
    directory.mkdir()
    (directory / images.digest_of(config).partition(":")[2]).write_bytes(config)
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def digest(image) -> str:
    return images.digest_of((image / "manifest.json").read_bytes())


def attest(image, kms) -> str:
    """Sign an image; give the attestation's manifest."""
    sbom, attestation = image.with_suffix(".sbom"), image.with_suffix(".attestation")
    sbom.write_text("{}")
    images.sign(image, sbom, attestation, digest(image), kms)
    return (attestation / "manifest.json").read_text()


class KMSInvalidSignatureException(Exception):
    pass


class FakeKMS:
    """Signs with a key of its own, as many as are made."""

    exceptions = type(
        "", (), {"KMSInvalidSignatureException": KMSInvalidSignatureException}
    )

    def __init__(self, key=b"ours"):
        self._key = key

    def sign(self, KeyId, Message, MessageType, SigningAlgorithm):
        assert (KeyId, MessageType) == (images.KEY, "RAW")
        return {"Signature": hmac.digest(self._key, Message, hashlib.sha256)}

    def verify(self, Signature, **members):
        if self.sign(**members)["Signature"] != Signature:
            raise KMSInvalidSignatureException


class KMS(BaseHTTPRequestHandler):
    """Signs, over HTTP, as FakeKMS does."""

    def do_POST(self):
        assert self.headers["X-Amz-Target"] == "TrentService.Sign"
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked["Message"] = base64.b64decode(asked["Message"])
        signature = base64.b64encode(FakeKMS().sign(**asked)["Signature"])
        body = json.dumps({"Signature": signature.decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def signing():
    """A key that signs; gives its address."""
    server = HTTPServer(("127.0.0.1", 0), KMS)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def at_aws(address: str) -> dict[str, str]:
    """Give the environment of a job whose AWS answers at *address*."""
    return {
        "AWS_ORG_ACCOUNT": "123456789012",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_ENDPOINT_URL": address,
        "CIRCLE_SHA1": COMMIT,
    }


class FakeECR:
    """Knows manifests by their tags, and what the scan finds, answer by answer."""

    class exceptions:
        class ScanNotFoundException(Exception):
            pass

    def __init__(self, scans=(("COMPLETE", SCANNED),)):
        self.manifests: dict[str, str] = {}
        self._scans = list(scans)

    def put(self, image, manifest: str) -> str:
        """Keep an attestation; give the image's name."""
        self.manifests[images.attestation_tag(digest(image))] = manifest
        return f"registry/negation-api@{digest(image)}"

    def batch_get_image(self, repositoryName, imageIds, acceptedMediaTypes):
        assert repositoryName == "negation-api"
        (wanted,) = imageIds
        found = self.manifests.get(wanted["imageTag"])
        return {"images": [{"imageManifest": found}] if found else []}

    def get_paginator(self, name):
        assert name == "describe_image_scan_findings"
        return self

    def paginate(self, **_):
        status, findings = self._scans.pop(0) if self._scans[1:] else self._scans[0]
        if status is None:
            raise self.exceptions.ScanNotFoundException
        yield {"imageScanStatus": {"status": status}, "imageScanFindings": findings}
