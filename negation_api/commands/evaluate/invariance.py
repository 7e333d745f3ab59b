"""How often an answer flips when only what must not matter is changed.

Needs no labels: each row's answer is compared with the answer to the row as it was.
Directional changes are for rows that the file calls the patient's plain PRESENT.
"""

from collections.abc import Iterator
from random import Random

from negation_api.commands.evaluate.answers import answer_rows
from negation_api.commands.evaluate.changes import (
    DIRECTED,
    INVARIANT,
    Case,
    Change,
    changed,
)
from negation_api.commands.evaluate.figures import share
from negation_api.commands.evaluate.rows import QUESTIONS, EvaluationError
from negation_api.contract.labels import Prediction

NUM_NAMED = 5
SEED = 13


def invariance(classifier, rows: list[dict], settings, seed: int = SEED) -> dict:
    """Ask *rows* again under every change, and give the shares that flip.

    Rows without an entity and ``debatable`` ones are left out. The same seed gives
    the same changes to a row, whatever else is in the file.

    :raises EvaluationError: when no row is left.
    """
    asked = [
        row | {"name": row.get("id", number)}
        for number, row in enumerate(rows, start=1)
        if row["start"] is not None and not row.get("debatable")
    ]
    if not asked:
        raise EvaluationError("no row has an entity")
    before = dict(enumerate(answer_rows(classifier, asked, settings)))

    def ask(name: str, change: Change, plain_only: bool = False) -> dict:
        chosen = dict(_changed(asked, name, change, seed, plain_only))
        return dict(zip(chosen, answer_rows(classifier, [*chosen.values()], settings)))

    changes = [
        {"change": name} | _flips(asked, before, ask(name, change))
        for name, change in INVARIANT.items()
    ]
    directed = [
        {"change": name, "question": question, "expected": expected}
        | _kept(asked, ask(name, change, plain_only=True), question, expected)
        for name, (change, question, expected) in DIRECTED.items()
    ]
    return {
        "rows": len(asked),
        "seed": seed,
        "changes": changes,
        "mean": {question: _mean(changes, question) for question in QUESTIONS},
        "directed": directed,
    }


def _changed(
    rows: list[dict], name: str, change: Change, seed: int, plain_only: bool
) -> Iterator[tuple[int, dict]]:
    """Give the index of each row that *change* applies to, and the row after it."""
    for index, row in enumerate(rows):
        if plain_only and not _is_plain(row):
            continue
        case = Case(row["text"], row["start"], row["end"])
        # Seeded, so that a report can be had again.
        seeded = Random(f"{seed} {name} {case}")  # nosec B311
        if new := changed(case, change, seeded):
            yield index, row | {"text": new.text, "start": new.start, "end": new.end}


def _is_plain(row: dict) -> bool:
    return (
        row.get("label") in ("PRESENT", "AFFIRMED")
        and row.get("experiencer") in (None, "PATIENT")
        and row.get("temporality") in (None, "CURRENT")
    )


def _answer(prediction: Prediction, question: str) -> str | None:
    choice = prediction.choice(question)
    return choice and choice.label


def _flips(rows: list[dict], before: dict, after: dict) -> dict:
    """Give the share of answers to each question that flip, and whose they are."""
    report = {"rows": len(after)}
    for question in QUESTIONS:
        # What is not claimed to have happened has no assertion status.
        compared = [
            index
            for index in after
            if _answer(before[index], question) is not None
            and not (question == "label" and _has_no_label(rows[index]))
        ]
        flipped = [
            rows[i]["name"]
            for i in compared
            if _answer(before[i], question) != _answer(after[i], question)
        ]
        if compared:
            figures = share(len(flipped), len(compared))
            report[question] = figures | {"flipped": flipped[:NUM_NAMED]}
    return report


def _has_no_label(row: dict) -> bool:
    return row.get("temporality") == "HYPOTHETICAL" and row.get("label") is None


def _kept(rows: list[dict], after: dict, question: str, expected: str) -> dict:
    """Give the share of answers that are as expected, and which rows' are not."""
    answers = {i: answer for i, p in after.items() if (answer := _answer(p, question))}
    wrong = [rows[i]["name"] for i, answer in answers.items() if answer != expected]
    figures = share(len(answers) - len(wrong), len(answers))
    return {"rows": len(answers), "as_expected": figures, "others": wrong[:NUM_NAMED]}


def _mean(changes: list[dict], question: str) -> float | None:
    """Give the mean share that flips, of the changes that apply to any row."""
    shares = [each[question]["value"] for each in changes if question in each]
    return sum(shares) / len(shares) if shares else None


# --- table --------------------------------------------------------------------


def invariance_table(report: dict) -> str:
    """Lay out *report* for reading."""
    asked = [q for q in QUESTIONS if report["mean"][q] is not None]
    columns = "".join(f"{question:>14}" for question in asked)
    lines = [
        f"{report['rows']} entities, seed {report['seed']}; share of answers that flip",
        "",
        f"{'change':<32}{'rows':>6}{columns}  rows whose answers flip",
    ]
    lines += [_change_line(each, asked) for each in report["changes"]]
    means = "".join(_number(report["mean"][question]) for question in asked)
    lines += [f"{'mean':<32}{'':>6}{means}", ""]
    lines.append(f"{'change':<32}{'rows':>6}{'as expected':>14}  other rows")
    return "\n".join(lines + [_directed_line(each) for each in report["directed"]])


def _change_line(change: dict, asked: list[str]) -> str:
    figures = [change.get(question, {}) for question in asked]
    cells = "".join(_number(each.get("value")) for each in figures)
    names = dict.fromkeys(str(n) for each in figures for n in each.get("flipped", ()))
    return f"{change['change']:<32}{change['rows']:>6}{cells}  {' '.join(names)}"


def _directed_line(change: dict) -> str:
    cells = f"{change['rows']:>6}{_number(change['as_expected']['value'])}"
    names = " ".join(map(str, change["others"]))
    return f"{change['change']:<32}{cells}  {names}".rstrip()


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>14}"
