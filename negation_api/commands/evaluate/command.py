"""The command line of ``evaluate``."""

import argparse
import json
import sys
from pathlib import Path

from negation_api.commands.evaluate.answers import answer_rows, write_predictions
from negation_api.commands.evaluate.invariance import invariance, invariance_table
from negation_api.commands.evaluate.recipe import RECIPES, recipe
from negation_api.commands.evaluate.report import (
    NUM_WORST,
    error_line,
    evaluate,
    table,
    worst,
)
from negation_api.commands.evaluate.rows import EvaluationError, read_rows
from negation_api.contract.reply import dump_model
from negation_api.model.artefact import ModelError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``evaluate`` takes; the model comes from the settings."""
    parser.add_argument("file", type=Path, nargs="?", help="labelled rows, JSON lines")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument(
        "--show-text",
        action="store_true",
        help=f"print the {NUM_WORST} worst errors with their clinical text",
    )
    parser.add_argument(
        "--predictions", type=Path, help="write label and scores of every row here"
    )
    parser.add_argument(
        "--invariance",
        action="store_true",
        help="ask every row again with changes that must not matter",
    )
    parser.add_argument(
        "--recipe",
        choices=sorted(RECIPES),
        help="tell how to make a file of a corpus that may not be handed on",
    )


def main(args: argparse.Namespace, settings) -> int:
    """Evaluate; 0 when done, 1 when the file or the model cannot be used."""
    try:
        return _run(args, settings)
    except (EvaluationError, ModelError) as error:
        print(f"negation_api evaluate: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, settings) -> int:
    if args.recipe:
        print(recipe(args.recipe))
        return 0
    if not args.file:
        raise EvaluationError("needs a file, or --recipe")
    if args.invariance and (args.predictions or args.show_text):
        raise EvaluationError("--invariance goes with --json only")
    rows = read_rows(args.file)
    measure = _invariance if args.invariance else _evaluate
    measure(args, settings, _load(settings), rows)
    return 0


def _invariance(args: argparse.Namespace, settings, classifier, rows) -> None:
    report = {"model": _model(classifier)} | invariance(classifier, rows, settings)
    if args.json:
        print(json.dumps(report))
    else:
        print(_heading(report["model"]), invariance_table(report), sep="\n")


def _evaluate(args: argparse.Namespace, settings, classifier, rows) -> None:
    predictions = answer_rows(classifier, rows, settings)
    if args.predictions:
        write_predictions(args.predictions, predictions)
    report = {"model": _model(classifier)} | evaluate(rows, predictions)
    errors = worst(rows, predictions) if args.show_text else []
    if args.json:
        print(json.dumps(report | ({"worst": errors} if args.show_text else {})))
        return
    print(_heading(report["model"]))
    print(table(report))
    print("".join(f"\n{error_line(error)}" for error in errors), end="")


def _load(settings):
    from negation_api.model.classifier import load_classifier  # torch, seconds

    return load_classifier(settings)


def _model(classifier) -> dict:
    """Name the artefacts that answer, as a reply does."""
    wanted, model = ("name", "sha256"), dump_model(classifier)
    axes = {key: value for key, value in model.get("axes", {}).items() if key in wanted}
    return {key: model[key] for key in wanted} | ({"axes": axes} if axes else {})


def _heading(model: dict) -> str:
    lines = f"{model['name']}, weights {model['sha256'][:12]}"
    return lines + (f"; axes: {_heading(model['axes'])}" if "axes" in model else "")
