"""A PostgreSQL of the tests' own: a directory and a socket in it, no network."""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 120


@dataclass
class Postgres:
    """A server that ends with the block. ::

        with Postgres() as postgres:
            postgres.run("select 1")

    It refuses to run as root, so under root it runs as the user that its Debian
    package makes.
    """

    _directory: Path = field(init=False)

    def __enter__(self) -> "Postgres":
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self._directory, account.pw_uid, account.pw_gid)
        try:
            self._program("initdb", "-U", "tests", "-A", "trust", "-E", "UTF8", "-N")
            options = f"-F -c listen_addresses= -k {self._directory}"
            log = self._directory / "log"
            self._program("pg_ctl", "start", "-w", "-l", log, "-o", options)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception) -> None:
        if (self._data / "postmaster.pid").exists():
            self._program("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(self._directory)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def environ(self) -> dict[str, str]:
        """What tells ``psql`` where it is."""
        at = {"PGHOST": str(self._directory), "PGUSER": "tests"}
        return at | {"PGDATABASE": "postgres"}

    def _program(self, name: str, *args) -> None:
        (path,) = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1:]
        done = subprocess.run(
            [path, "-D", self._data, *args],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the server
            stderr=subprocess.STDOUT,
            timeout=START_SECONDS,
            **({"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}),
        )
        assert done.returncode == 0, (name, done.returncode)

    def run(self, sql: str, given: bytes = b"") -> str:
        """Run *sql*; give what it shows, a line a row, columns parted by a tab.

        :param given: what ``copy ... from stdin`` reads.
        """
        shown = ("-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1")
        command = ["psql", *shown, "-c", sql]
        env = os.environ | self.environ
        done = subprocess.run(command, input=given, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()
