"""The command line: ``python -m negation_api COMMAND``.

Each command lives in a module of its own, which has ``add_arguments(parser)`` and
``main(args, settings) -> exit code``. A module is imported when its command is used,
so that ``--help`` need not wait for torch.
"""

import argparse
import importlib
import sys

from negation_api.model.artefact import ModelError
from negation_api.settings import SettingError, Settings

COMMANDS = {
    "model": "fetch a model from the hub",
    "evaluate": "measure a model on labelled data",
    "predict": "answer the rows of a file",
    "doctor": "tell which settings do not agree with each other",
}
MODULES = {
    "model": "model.hub",
    "evaluate": "commands.evaluate",
    "predict": "batch.bulk",
    "doctor": "commands.doctor",
}
USAGE_ERROR = 2  # argparse's own code


def main(argv: list[str]) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="negation_api", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, doc in COMMANDS.items():
        command = commands.add_parser(name, help=doc, description=doc)
        if argv[:1] == [name]:
            module = importlib.import_module(f"negation_api.{MODULES[name]}")
            module.add_arguments(command)
    args = parser.parse_args(argv)
    try:
        return module.main(args, Settings.from_env())
    except (SettingError, ModelError) as error:
        print(f"negation_api: {error}", file=sys.stderr)
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
