"""What a million entities cost, from the rates that ``make bench`` measured.

    python infra/costs.py          writes the tables of docs/deploy.md and docs/bulk.md
    python infra/costs.py x=100    prints Fargate's table for rates of your own

Rates are read from ``docs/performance.md``, entities a second of two vCPUs: for the
service at 32 clients, for tables those of a note of 1,000 entities, less what Spark
takes. Tasks of other sizes are taken to be as fast as they have vCPUs.

Prices, USD an hour, us-east-1, list prices: AWS Fargate on demand, Linux on X86_64, as
of March 2026 (https://aws.amazon.com/fargate/pricing/); EMR Serverless as known in 2025
(https://aws.amazon.com/emr/pricing/). Other regions are dearer by 10 to 30 %. Load
balancer, network, logs and idle hours come on top.
"""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
VCPU_HOUR, GIB_HOUR = 0.04048, 0.004445
SIZES = ((1, 2), (2, 4), (4, 8), (8, 16))  # vCPUs, GiB
MEASURED_VCPUS = 2
EMR_VCPU_HOUR, EMR_GB_HOUR, EMR_GB = 0.0526, 0.0058, 4  # memory of each vCPU
EMR_VCPUS, EMR_ENTITIES = 1000, 1e9
SPARK = 0.8  # of a large note's rate: what local[2] reached, docs/bulk.md


def dollars_per_hour(vcpus: int, gib: int) -> float:
    """Give the price of a task.

    >>> round(dollars_per_hour(2, 4), 5)
    0.09874
    """
    return vcpus * VCPU_HOUR + gib * GIB_HOUR


def dollars_per_million(vcpus: int, gib: int, rate: float) -> float:
    """Give the price of a million entities.

    :param rate: entities a second of a task of two vCPUs.

    >>> round(dollars_per_million(2, 4, 100), 3)
    0.274
    """
    hours = 1e6 / (rate * vcpus / MEASURED_VCPUS) / 3600
    return hours * dollars_per_hour(vcpus, gib)


def fargate(rates: dict[str, float]) -> str:
    """Write a table in Markdown, a row for each size, a column for each rate."""
    names = [f"{name} ({rate:g}/s)" for name, rate in rates.items()]
    rows = [["vCPU, GiB", "USD an hour", *names], ["---"] + ["---:"] * (len(names) + 1)]
    for size in SIZES:
        prices = [f"{dollars_per_million(*size, rate):.2f}" for rate in rates.values()]
        name = ", ".join(map(str, size))
        rows.append([name, f"{dollars_per_hour(*size):.3f}", *prices])
    return table(rows)


def emr(rates: dict[str, float]) -> str:
    """Write a table in Markdown, a row for each rate: what a thousand million cost."""
    rows = [["model", "entities/s a vCPU", "vCPU-hours", "hours", "USD"]]
    rows.append(["---"] + ["---:"] * 4)
    for name, rate in rates.items():
        each = round(SPARK * rate / MEASURED_VCPUS)
        hours = EMR_ENTITIES / each / 3600
        dollars = hours * (EMR_VCPU_HOUR + EMR_GB * EMR_GB_HOUR)
        told = (hours, hours / EMR_VCPUS, dollars)
        rows.append([name, str(each), *map(two_digits, told)])
    return table(rows)


def two_digits(value: float) -> str:
    """Say what a plan on paper may say.

    >>> two_digits(15432), two_digits(2.437)
    ('15,000', '2.4')
    """
    return f"{float(f'{value:.2g}'):,g}"


def table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def measured(text: str) -> tuple[dict[str, float], dict[str, float]]:
    """Read what the benchmark's page says: at 32 clients, and of the largest note."""
    served, noted = {}, {}
    for name, section in re.findall(
        r"^\*\*([\w-]+, \w+)\*\*$(.*?)(?=^\*\*|\Z)", text, re.MULTILINE | re.DOTALL
    ):
        at_32 = re.search(r"^\| ours \| 32 \| (\d+) ", section, re.MULTILINE)
        note = re.search(r"^\| 1000 \| [\d.]+ \| (\d+) ", section, re.MULTILINE)
        if at_32 and note and name not in served:
            served[name], noted[name] = float(at_32[1]), float(note[1])
    return served, noted


def renewed(page: str, marker: str, made: str) -> str:
    """Put a table into a page in place of the one below ``<!-- MARKER -->``."""
    pattern = rf"(<!-- {marker} -->\n\n)(?:\|.*\n)+"
    new, count = re.subn(pattern, lambda match: f"{match[1]}{made}\n", page)
    if count != 1:
        raise ValueError(f"{count} tables are marked {marker}, not one")
    return new


def pages() -> dict[Path, str]:
    """Give the pages with tables as they ought to be."""
    served, noted = measured((DOCS / "performance.md").read_text())
    made = {"deploy.md": ("fargate", fargate(served)), "bulk.md": ("emr", emr(noted))}
    return {
        DOCS / name: renewed((DOCS / name).read_text(), *marked)
        for name, marked in made.items()
    }


def main(argv: list[str]) -> int:
    """Write the pages, or print the table of the rates that are given."""
    try:
        rates = {name: float(rate) for name, rate in (a.split("=") for a in argv)}
        if rates:
            print(fargate(rates))
            return 0
    except (ValueError, ZeroDivisionError):
        print(__doc__, file=sys.stderr)
        return 2
    for path, text in pages().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
