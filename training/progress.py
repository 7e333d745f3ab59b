"""A progress bar on standard error, for environments without one."""

import sys
import time


def progress(items, total, name, every_s=0.5):
    """Yield *items*; show how many of *total* are through, every *every_s* s."""
    started = shown = time.monotonic()
    count = 0
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - shown >= every_s:
            shown = time.monotonic()
            _show(name, count, total, shown - started, end="\r")
    _show(name, count, total, time.monotonic() - started, end="\n")


def _show(name, count, total, elapsed_s, end):
    share = count / total if total else 1.0
    bar = "#" * round(30 * share)
    line = f"{name:>10} [{bar:<30}] {count}/{total} {elapsed_s:.0f} s"
    print(line, end=end, file=sys.stderr, flush=True)
