"""infra/images.py: what is deployed is what was tested, and says so itself."""

import json

import pytest

import images
from attested import (
    BASE,
    COMMIT,
    MODEL,
    REVISION,
    SCANNED,
    FakeECR,
    FakeKMS,
    attest,
    digest,
    write_image,
)


@pytest.fixture
def image(tmp_path):
    return write_image(tmp_path / "image")


@pytest.fixture
def ecr():
    return FakeECR()


def test_what_was_signed_is_read_from_the_image(image, ecr):
    name = ecr.put(image, attest(image, FakeKMS()))
    assert images.verify(name, ecr, FakeKMS()) == {
        "commit": COMMIT,
        "model": MODEL,
        "model-revision": REVISION,
        "base": BASE,
    }


def test_an_attestation_is_an_oci_manifest_about_the_image(image):
    manifest = json.loads(attest(image, FakeKMS()))
    assert manifest["subject"]["digest"] == digest(image)
    (sbom,) = manifest["layers"]
    directory = image.with_suffix(".attestation")
    for blob in (manifest["config"], sbom):
        data = (directory / blob["digest"].partition(":")[2]).read_bytes()
        assert (images.digest_of(data), len(data)) == (blob["digest"], blob["size"])
    statement = json.loads(manifest["annotations"][images.STATEMENT])
    assert statement["sbom"] == sbom["digest"]


def test_an_image_that_nobody_signed_is_refused(image, ecr):
    with pytest.raises(images.Failed, match="has no attestation"):
        images.verify(f"registry/negation-api@{digest(image)}", ecr, FakeKMS())


def change_statement(manifest):
    text = manifest["annotations"][images.STATEMENT]
    manifest["annotations"][images.STATEMENT] = text.replace(COMMIT, "d" * 40)


@pytest.mark.parametrize(
    "change",
    [
        change_statement,
        lambda manifest: manifest["annotations"].update({images.SIGNATURE: "AAAA"}),
        lambda manifest: manifest["annotations"].pop(images.SIGNATURE),
        lambda manifest: manifest.pop("annotations"),
    ],
)
def test_what_was_changed_after_it_was_signed_is_refused(image, ecr, change):
    manifest = json.loads(attest(image, FakeKMS()))
    change(manifest)
    name = ecr.put(image, json.dumps(manifest))
    with pytest.raises(images.Failed, match="not our key's"):
        images.verify(name, ecr, FakeKMS())


def test_another_key_s_signature_is_refused(image, ecr):
    name = ecr.put(image, attest(image, FakeKMS(b"theirs")))
    with pytest.raises(images.Failed, match="not our key's"):
        images.verify(name, ecr, FakeKMS())


def test_another_image_s_attestation_is_refused(image, ecr, tmp_path):
    other = write_image(tmp_path / "other", salt="x")
    name = ecr.put(image, attest(other, FakeKMS()))
    with pytest.raises(images.Failed, match=f"is of {digest(other)}"):
        images.verify(name, ecr, FakeKMS())


def test_only_the_image_that_was_tested_is_signed(image, tmp_path):
    other = digest(write_image(tmp_path / "other", salt="x"))
    with pytest.raises(images.Failed, match=f"{other}.*{digest(image)}"):
        images.sign(image, tmp_path / "sbom", tmp_path / "a", other, FakeKMS())


def test_a_tag_holds_commit_model_and_base(tmp_path):
    others = {"model": "embedded", "base": BASE.replace("f", "e"), "commit": "d" * 40}
    tags = {images.tag(write_image(tmp_path / "image"))}
    for name, value in others.items():
        tags.add(images.tag(write_image(tmp_path / name, **{name: value})))
    assert len(tags) == 4
    assert sum(tag.startswith(f"{COMMIT}-") for tag in tags) == 3
    assert images.tag(write_image(tmp_path / "again", salt="x")) in tags


@pytest.mark.parametrize(
    "labels, message",
    [
        ({"commit": "unknown"}, "does not name its commit"),
        ({"commit": "abc"}, "does not name its commit"),
        ({"base": "docker.io/library/python:3.11-slim-bookworm"}, "by digest"),
    ],
)
def test_an_image_of_unknown_origin_is_refused(tmp_path, labels, message, capsys):
    image = write_image(tmp_path / "image", **labels)
    assert images.main(["tag", str(image)]) == 1
    assert message in capsys.readouterr().err


def test_a_wrong_call_is_told(capsys):
    assert images.main(["sign"]) == 2
    assert "ATTESTATION" in capsys.readouterr().err


CRITICAL = {"findings": [{"name": "CVE-2", "severity": "CRITICAL"}]}
ENHANCED = {
    "enhancedFindings": [
        {
            "severity": "CRITICAL",
            "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-2"},
        }
    ]
}


@pytest.mark.parametrize(
    "scans, message",
    [
        ([("COMPLETE", CRITICAL)], "critical vulnerabilities: CVE-2"),
        ([("ACTIVE", ENHANCED)], "critical vulnerabilities: CVE-2"),
        ([("IN_PROGRESS", {}), ("COMPLETE", CRITICAL)], "CVE-2"),
        ([("UNSUPPORTED_IMAGE", {})], "ended with UNSUPPORTED_IMAGE"),
        ([(None, {})], "not scanned after 600 s"),
        ([("IN_PROGRESS", {})], "not scanned after 600 s"),
    ],
)
def test_a_scan_that_is_not_clean_refuses_the_image(image, scans, message):
    name = f"registry/negation-api@{digest(image)}"
    with pytest.raises(images.Failed, match=message):
        images.check_scan(name, FakeECR(scans), sleep=lambda seconds: None)


@pytest.mark.parametrize("findings", [SCANNED, CRITICAL, ENHANCED])
def test_what_somebody_looked_at_is_accepted(image, tmp_path, findings):
    accepted = tmp_path / "accepted.txt"
    accepted.write_text("# looked at\nCVE-2  # not reached\n")
    name, slept = f"registry/negation-api@{digest(image)}", []
    ecr = FakeECR([(None, {}), ("COMPLETE", findings)])
    images.check_scan(name, ecr, accepted, sleep=slept.append)
    assert slept == [images.POLL_SECONDS]


def test_every_accepted_vulnerability_has_a_reason():
    for line in images.ACCEPTED.read_text().splitlines():
        assert line.partition("#")[2].strip()
