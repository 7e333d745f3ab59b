"""``negation-api serve``: the service, by Gunicorn, from any directory."""

import os
import sys
from pathlib import Path

from negation_api.settings import Settings

PACKAGE = Path(__file__).parents[1]
GUNICORN = "gunicorn.conf.py"
# glibc would keep what is freed in each of many threads; read when a process begins.
MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def add_arguments(parser) -> None:
    """Take none: whatever may differ is a setting."""
    parser.epilog = "PORT, MODEL and all else are settings: environment variables."


def main(args, settings: Settings) -> int:
    """Become Gunicorn's master; signals reach it, as its process is this one."""
    options = ["--config", str(configuration()), *application()]
    command = [sys.executable, "-m", "gunicorn", *options]
    os.execve(sys.executable, command, {**MALLOC, **os.environ})  # nosec B606


def is_installed() -> bool:
    """Tell whether this is a wheel's package, which has both files within."""
    return (PACKAGE / GUNICORN).is_file()


def configuration() -> Path:
    """Give Gunicorn's configuration: of the package, or of the checkout around it."""
    return (PACKAGE if is_installed() else PACKAGE.parent) / GUNICORN


def application() -> list[str]:
    """Give Gunicorn's arguments that name ``wsgi.py``."""
    if is_installed():
        return ["negation_api.wsgi:app"]
    return ["--pythonpath", str(PACKAGE.parent), "wsgi:app"]
