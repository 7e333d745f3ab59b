"""What ties an image to the tests that it passed: digest, origin, signature.

    tag IMAGE                            prints its tag
    parameters IMAGE                     prints what it was made of, for a stack
    sign IMAGE SBOM ATTESTATION DIGEST   writes ATTESTATION

IMAGE is a directory as ``skopeo copy SOURCE dir:IMAGE`` writes it, and so is
ATTESTATION, for the way back. DIGEST is what the registry has; if that is not IMAGE's
digest nothing is signed, for it is not what was tested.

An attestation is an OCI manifest of its own whose subject is the image
(https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md): its layer is the
SBOM, its annotations a statement of what was tested and the signature of that.
``verify`` and ``check_scan`` are asked by ``deploy.py``.
"""

import base64
import hashlib
import json
import re
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

KEY = "alias/negation-api-images"
ALGORITHM = "ECDSA_SHA_256"
LABELS = {
    "commit": "org.opencontainers.image.revision",
    "model": "negation-api.model",
    "model-revision": "negation-api.model-revision",
    "base": "org.opencontainers.image.base.name",
}
# Of a revision: what its image is; and the stack's parameters that say the same.
TAGS = {"commit": "Commit", "model": "Model", "model-revision": "ModelRevision"}
BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
STATEMENT, SIGNATURE = "negation-api.statement", "negation-api.signature"
EMPTY = b"{}"
SCAN_SECONDS, POLL_SECONDS = 10 * 60, 10
ACCEPTED = Path(__file__).with_name("accepted.txt")


class Failed(RuntimeError):
    """The step did not do what it was to do; the message is one line."""


def digest_of(data: bytes) -> str:
    """Give what a registry calls *data*.

    >>> digest_of(EMPTY)[:19]
    'sha256:44136fa355b3'
    """
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def facts(image: Path) -> dict[str, str]:
    """Read what an image is and what its labels say it was made of.

    :raises Failed: when it does not name its commit, or its base by digest.
    """
    manifest = (image / "manifest.json").read_bytes()
    config = json.loads(manifest)["config"]["digest"].partition(":")[2]
    labels = json.loads((image / config).read_bytes())["config"].get("Labels") or {}
    found = {name: labels.get(label, "") for name, label in LABELS.items()}
    if not COMMIT.fullmatch(found["commit"]):
        raise Failed("the image does not name its commit in full")
    if not BY_DIGEST.fullmatch(found["base"]):
        raise Failed("the base is not named by digest: give the parameter base so")
    return {"image": digest_of(manifest), **found}


def tag(image: Path) -> str:
    """Name an image after its commit, its model and its base."""
    found = facts(image)
    rest = " ".join(found[name] for name in ("model", "model-revision", "base"))
    return f"{found['commit']}-{hashlib.sha256(rest.encode()).hexdigest()[:12]}"


def parameters(image: Path) -> str:
    """Say what an image was made of, as the stack's parameters: ``Commit=... ...``."""
    found = facts(image)
    return " ".join(f"{name}={found[key]}" for key, name in TAGS.items())


def attestation_tag(digest: str) -> str:
    """Give the tag under which the attestation of *digest* lies."""
    return f"{digest.replace(':', '-')}.attestation"


def sign(image: Path, sbom: Path, attestation: Path, digest: str, kms) -> None:
    """Write the attestation of *image* as a directory for skopeo.

    :raises Failed: when *digest* is another image's.
    """
    found = facts(image)
    if found["image"] != digest:
        raise Failed(
            f"the registry's image is {digest}, the one that was tested"
            f" {found['image']}: its own pipeline may sign it, or remove its tag"
        )
    bill = sbom.read_bytes()
    statement = json.dumps({**found, "sbom": digest_of(bill)}, sort_keys=True)
    signature = kms.sign(
        KeyId=KEY,
        Message=statement.encode(),
        MessageType="RAW",
        SigningAlgorithm=ALGORITHM,
    )["Signature"]
    original = (image / "manifest.json").read_bytes()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor("application/vnd.oci.empty.v1+json", EMPTY),
        "layers": [_descriptor("application/vnd.cyclonedx+json", bill)],
        "subject": _descriptor(json.loads(original)["mediaType"], original),
        "annotations": {
            STATEMENT: statement,
            SIGNATURE: base64.b64encode(signature).decode(),
        },
    }
    attestation.mkdir()
    (attestation / "version").write_text("Directory Transport Version: 1.1\n")
    (attestation / "manifest.json").write_text(json.dumps(manifest))
    for blob in (EMPTY, bill):
        (attestation / digest_of(blob).partition(":")[2]).write_bytes(blob)


def _descriptor(media_type: str, data: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def verify(image: str, ecr, kms) -> dict[str, str]:
    """Give what the signed statement says of *image*, by the names of ``LABELS``.

    :param image: ``REGISTRY/REPOSITORY@sha256:...``.
    :raises Failed: when nobody signed it, or who did is not the key, or what was
        signed is another image.
    """
    name, _, digest = image.partition("@")
    found = ecr.batch_get_image(
        repositoryName=name.partition("/")[2],
        imageIds=[{"imageTag": attestation_tag(digest)}],
        acceptedMediaTypes=[MANIFEST],
    )
    if not found["images"]:
        raise Failed(f"the image {digest} has no attestation: push did not sign it")
    manifest = json.loads(found["images"][0]["imageManifest"])
    annotations = manifest.get("annotations") or {}
    statement = annotations.get(STATEMENT, "{}")
    try:
        kms.verify(
            KeyId=KEY,
            Message=statement.encode(),
            MessageType="RAW",
            Signature=base64.b64decode(annotations.get(SIGNATURE, "")) or b"none",
            SigningAlgorithm=ALGORITHM,
        )
    except kms.exceptions.KMSInvalidSignatureException:
        raise Failed(f"the signature of {digest} is not our key's") from None
    signed = json.loads(statement)
    if signed["image"] != digest:
        raise Failed(f"the attestation of {digest} is of {signed['image']}")
    return {name: signed[name] for name in LABELS}


def check_scan(image: str, ecr, accepted: Path = ACCEPTED, sleep=time.sleep) -> None:
    """Wait for ECR's scan and look at it.

    :param accepted: vulnerabilities that somebody looked at, one a line, each with a
        reason after ``#``.
    :raises Failed: for critical ones that are not accepted, and without a scan.
    """
    name, _, digest = image.partition("@")
    known = {
        line.partition("#")[0].strip() for line in accepted.read_text().split("\n")
    }
    for _ in range(SCAN_SECONDS // POLL_SECONDS):
        found = _critical(ecr, name.partition("/")[2], digest)
        if found is None:
            sleep(POLL_SECONDS)
            continue
        left = sorted(found - known)
        if left:
            raise Failed(f"critical vulnerabilities: {', '.join(left)}")
        return
    raise Failed(f"the image is not scanned after {SCAN_SECONDS} s")


def _critical(ecr, repository: str, digest: str) -> set[str] | None:
    """Give what a finished scan found, basic or enhanced; None while there is none."""
    found: set[str] = set()
    pages = ecr.get_paginator("describe_image_scan_findings").paginate(
        repositoryName=repository, imageId={"imageDigest": digest}
    )
    try:
        for page in pages:
            status = page["imageScanStatus"]["status"]
            if status in ("IN_PROGRESS", "PENDING"):
                return None
            if status not in ("COMPLETE", "ACTIVE"):
                raise Failed(f"the scan of the image ended with {status}")
            findings = page["imageScanFindings"]
            for each in findings.get("findings", []):
                if each["severity"] == "CRITICAL":
                    found.add(each["name"])
            for each in findings.get("enhancedFindings", []):
                if each["severity"] == "CRITICAL":
                    details = each["packageVulnerabilityDetails"]
                    found.add(details["vulnerabilityId"])
    except ecr.exceptions.ScanNotFoundException:
        return None
    return found


def main(argv: list[str]) -> int:
    """Run one step."""
    try:
        match argv:
            case ["tag", image]:
                print(tag(Path(image)))
            case ["parameters", image]:
                print(parameters(Path(image)))
            case ["sign", image, sbom, attestation, digest]:
                paths = map(Path, (image, sbom, attestation))
                sign(*paths, digest, boto3.client("kms"))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (Failed, ClientError, BotoCoreError) as error:
        print(f"{argv[0]}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
