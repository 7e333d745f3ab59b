"""What is in the image, as a CycloneDX bill of materials; run inside it.

    docker exec -i NAME python - < infra/sbom.py > sbom.json

Python's and Debian's packages as their own databases list them, and the model. Needs
nothing that the image has not. https://cyclonedx.org/docs/1.6/json/
"""

import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import distributions

DEBIAN = "${Package} ${Version} ${Architecture} ${db:Status-Abbrev}\\n"


def python_packages() -> list[dict]:
    """List what pip installed. https://github.com/package-url/purl-spec"""
    found = {(each.metadata["Name"], each.version) for each in distributions()}
    return [
        component(name, version, f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}")
        for name, version in sorted(found)
    ]


def debian_packages() -> list[dict]:
    """List what dpkg installed."""
    command = ["dpkg-query", "--show", f"--showformat={DEBIAN}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return [
        component(name, version, f"pkg:deb/debian/{name}", f"?arch={architecture}")
        for name, version, architecture, status in rows
        if status.startswith("ii")
    ]


def component(name: str, version: str, purl: str, qualifiers: str = "") -> dict:
    full = f"{purl}@{version.replace('+', '%2B')}{qualifiers}"
    return {
        "type": "library",
        "bom-ref": full,
        "name": name,
        "version": version,
        "purl": full,
    }


def bill() -> dict:
    """Make the whole bill."""
    model = {
        "type": "machine-learning-model",
        "name": os.environ.get("MODEL", ""),
        "version": os.environ.get("MODEL_REVISION", ""),
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "negation_api"}},
        "components": [
            component("python", platform.python_version(), "pkg:generic/python"),
            model,
            *python_packages(),
            *debian_packages(),
        ],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
