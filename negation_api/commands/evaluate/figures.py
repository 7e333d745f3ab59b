"""Figures of labels and scores, with 95 % intervals: pure functions."""

import numpy as np

NUM_BINS = 10
ROUNDS, SEED = 1000, 13  # of the bootstrap


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Give the 95 % interval of a share (Wilson 1927); (0, 1) of nothing.

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.49, 0.943]
    """
    if not total:
        return 0.0, 1.0
    share, spread = hits / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def share(hits: int, total: int) -> dict:
    """Give a share with its Wilson interval, and what it is of."""
    low, high = wilson(hits, total)
    value = hits / total if total else None
    return {"value": value, "low": low, "high": high, "hits": hits, "of": total}


def confusion(gold, guessed, size: int = 3) -> np.ndarray:
    """Count the rows of each pair: (gold, guessed), both indices below *size*."""
    table = np.zeros((size, size), dtype=int)
    np.add.at(table, (np.asarray(gold, int), np.asarray(guessed, int)), 1)
    return table


def f1_scores(table: np.ndarray) -> np.ndarray:
    """Give each label's F1; 0 where it was guessed but never right, or missed.

    NaN for a label that neither occurs nor was guessed.
    """
    hits, total = np.diag(table), table.sum(0) + table.sum(1)
    return np.divide(2 * hits, total, out=np.full(len(hits), np.nan), where=total > 0)


def macro_f1(table: np.ndarray) -> float:
    """Give the mean F1 of the labels that occur or were guessed."""
    scores = f1_scores(table)
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else 0.0


def bootstrap_f1(gold, guessed, size: int = 3) -> np.ndarray:
    """Give 95 % percentile intervals, (labels + macro) x (low, high).

    Rows are drawn with replacement, as many as there are; the seed is fixed, so
    the same predictions give the same intervals.
    """
    counts = confusion(gold, guessed, size).ravel()
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=ROUNDS)
    tables = drawn.reshape(ROUNDS, size, size)
    scores = np.array([[*f1_scores(table), macro_f1(table)] for table in tables])
    scores = np.nan_to_num(scores)
    return np.percentile(scores, [2.5, 97.5], axis=0).T


def reliability(confidence, correct, num_bins: int = NUM_BINS) -> list[dict]:
    """Give mean confidence and share correct in bins of equal mass, ascending."""
    confidence, correct = np.asarray(confidence, float), np.asarray(correct, float)
    order = np.argsort(confidence, kind="stable")
    return [
        {
            "rows": len(chosen),
            "confidence": float(confidence[chosen].mean()),
            "correct": float(correct[chosen].mean()),
        }
        for chosen in np.array_split(order, num_bins)
        if len(chosen)
    ]


def calibration_error(bins: list[dict]) -> float:
    """Give the expected calibration error: the mean gap, weighted by rows."""
    rows = sum(one["rows"] for one in bins)
    gaps = (one["rows"] * abs(one["confidence"] - one["correct"]) for one in bins)
    return sum(gaps) / rows if rows else 0.0
