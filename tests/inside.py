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

PORT = int(os.environ.get("PORT") or 8000)
QUESTION = json.dumps({"sentence": "The patient denies [entity] fever [entity]."})


def ask() -> tuple[int, str]:
    """Ask for a prediction; give status and label."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predict", QUESTION, headers)
    reply = connection.getresponse()
    return reply.status, json.load(reply).get("label", "")


def writable(directory: str) -> bool:
    probe = Path(directory) / "probe"
    with suppress(OSError):
        probe.write_text("")
        probe.unlink()
        return True
    return False


def main_process() -> dict[str, str]:
    """Give what the kernel says of the first process of the container."""
    lines = Path("/proc/1/status").read_text().splitlines()
    return {
        name: value.split()[0]
        for name, _, value in (s.partition(":\t") for s in lines)
        if value
    }


status = main_process()
code, label = ask()
facts = {
    "uid": int(status["Uid"]),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"] == "1",
    "seccomp": status["Seccomp"] == "2",
    "writable": [
        d
        for d in ("/", "/app", "/models", "/opt/venv", "/tmp", "/dev/shm")
        if writable(d)
    ],
    "network": sorted(os.listdir("/sys/class/net")),
    "status": code,
    "label": label,
}
WANTED = {
    "uid": 10001,
    "capabilities": 0,
    "no_new_privileges": True,
    "status": 200,
    "label": "ABSENT",
}
print(json.dumps(facts))
sys.exit(not WANTED.items() <= facts.items() or "/" in facts["writable"])
