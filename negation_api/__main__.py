"""The command line: ``negation-api COMMAND``, or ``python -m negation_api COMMAND``.

Each command lives in a module of its own, which has ``add_arguments(parser)`` and
``main(args, settings) -> exit code``. A module is imported when its command is used,
so that ``--help`` need not wait for torch.
"""

import argparse
import importlib
import sys

from negation_api import __version__
from negation_api.contract.errors import without_text
from negation_api.model.artefact import ModelError
from negation_api.settings import SettingError, Settings

# command -> its module, what it does
COMMANDS = {
    "serve": ("commands.serve", "serve on PORT, as in production"),
    "model": ("model.hub", "fetch a model from the hub"),
    "evaluate": ("commands.evaluate", "measure a model on labelled data"),
    "predict": ("batch.bulk", "answer the rows of a file"),
    "doctor": ("commands.doctor", "tell which settings do not agree with each other"),
}
USAGE_ERROR = 2  # argparse's own code


def main(argv: list[str] | None = None) -> int:
    """Run one command, of ``sys.argv`` if none is given."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="negation-api", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (place, doc) in COMMANDS.items():
        command = commands.add_parser(name, help=doc, description=doc)
        if argv[:1] == [name]:
            module = importlib.import_module(f"negation_api.{place}")
            module.add_arguments(command)
    args = parser.parse_args(argv)
    try:
        return module.main(args, Settings.from_env())
    except (SettingError, ModelError) as error:
        print(f"negation_api: {error}", file=sys.stderr)
        return USAGE_ERROR
    except Exception as error:  # its message may hold text
        told = " at ".join(without_text(error))
        print(f"negation_api: unexpected error: {told}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
