"""A load balancer, HAProxy in place of the ALB, and clients that keep it busy."""

import http.client
import json
import socket
import subprocess
import threading
from contextlib import contextmanager

from server import free_port, read_reply, wait_until

NUM_CLIENTS = 16
BODY = json.dumps({"sentence": "denies [entity] pain [entity]"})
SLOW_BODY = json.dumps({"sentence": "denies [entity] pain [entity] history"})
HEADERS = {"Content-Type": "application/json"}

CONFIGURATION = """
global
    stats socket {socket} mode 600 level admin
    hard-stop-after 2s
defaults
    mode http
    timeout connect 2s
    timeout check 2s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive {idle}s
    option http-keep-alive
    http-reuse {reuse}
    retries 0
frontend clients
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    option httpchk GET /health
    http-check expect status 200
    default-server check inter 200ms fall 2 rise 1
    server a 127.0.0.1:{ports[0]}
    server b 127.0.0.1:{ports[1]}
"""


class Balancer:
    """A running HAProxy, with two servers called a and b.

    :param reuse: ``always`` keeps connections to the servers for all clients;
        ``never`` keeps one for each client, for as long as the client's.
    """

    def __init__(self, directory, ports, reuse="always", idle=60):
        self.port = free_port()
        self._socket = directory / "haproxy.sock"
        self._file = directory / "haproxy.cfg"
        values = dict(socket=self._socket, port=self.port, ports=ports)
        self._file.write_text(
            CONFIGURATION.format(**values, reuse=reuse, idle=idle), encoding="ascii"
        )

    def __enter__(self):
        self._process = subprocess.Popen(
            ["haproxy", "-q", "-db", "-f", self._file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._socket.exists, 10, "HAProxy listens")
        for name in "ab":
            self.wait_for(name, "UP")
        return self

    def __exit__(self, *exception):
        self._process.terminate()
        self._process.wait(10)

    def tell(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._socket))
            admin.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode()

    def status(self, name: str) -> str:
        rows = [line.split(",") for line in self.tell("show stat").splitlines()]
        return next(row[17] for row in rows if row[:2] == ["servers", name])

    def drain(self, name: str) -> None:
        """Send no new request to *name*."""
        self.tell(f"set server servers/{name} state drain")

    def admit(self, name: str, port: int) -> None:
        """Let *name* be the server on *port*, and wait until it is healthy."""
        self.tell(f"set server servers/{name} addr 127.0.0.1 port {port}")
        self.tell(f"set server servers/{name} state ready")
        self.wait_for(name, "UP")

    def wait_for(self, name: str, status: str) -> None:
        wait_until(lambda: self.status(name) == status, 20, f"{name} is {status}")


class Load:
    """Clients that keep their connections and count what fails."""

    def __init__(self, port: int):
        self.num_answered = 0
        self.failures: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(n,)) for n in range(NUM_CLIENTS)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        body = SLOW_BODY if number % 4 == 0 else BODY
        with connected(self._port) as connection:
            while not self._stop.wait(0.02):
                try:
                    connection.request("POST", "/predict", body, HEADERS)
                    status = read_reply(connection).status
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    status = type(error).__name__
                if status == 200:
                    self.num_answered += 1  # nearly right is right enough
                else:
                    self.failures.append(f"{status}")


@contextmanager
def connected(port: int):
    """Open a connection to *port* at the first request; close it at the end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()
