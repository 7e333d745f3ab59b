"""Run in the container: what it may do there, and whether it answers.

``docker exec -i NAME python - < tests/inside.py`` prints one JSON object of facts.
Exit code 1 if they are not those of a container that may do nothing.
"""

import http.client
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

QUESTION = json.dumps({"sentence": "The patient denies [entity] fever [entity]."})
DIRECTORIES = ("/", "/app", "/models", "/opt/venv", "/tmp", "/dev/shm")
WANTED = {
    "uid": 10001,
    "capabilities": 0,
    "no_new_privileges": True,
    "writable": ["/tmp", "/dev/shm"],
    "network": ["lo"],
    "status": 200,
    "label": "ABSENT",
}


def ask() -> tuple[int, str]:
    """Ask for a prediction; give status and label."""
    port = int(os.environ.get("PORT") or 8000)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predict", QUESTION, headers)
    reply = connection.getresponse()
    return reply.status, json.load(reply).get("label", "")


def is_writable(directory: str) -> bool:
    """Tell whether a file can be made in *directory*."""
    probe = Path(directory) / "probe"
    with suppress(OSError):
        probe.write_text("")
        probe.unlink()
        return True
    return False


def first_process() -> dict[str, str]:
    """Give what the kernel says of the container's first process."""
    lines = Path("/proc/1/status").read_text().splitlines()
    pairs = (line.split()[:2] for line in lines)
    return {pair[0].rstrip(":"): pair[-1] for pair in pairs}


def facts() -> dict:
    """Find out what ``WANTED`` speaks of."""
    process = first_process()
    status, label = ask()
    return {
        "uid": int(process["Uid"]),
        "capabilities": int(process["CapEff"], 16) | int(process["CapBnd"], 16),
        "no_new_privileges": process["NoNewPrivs"] == "1",
        "writable": [d for d in DIRECTORIES if is_writable(d)],
        "network": sorted(os.listdir("/sys/class/net")),
        "status": status,
        "label": label,
    }


if __name__ == "__main__":
    found = facts()
    print(json.dumps(found))
    sys.exit(found != WANTED)
