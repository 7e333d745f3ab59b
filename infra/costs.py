"""What a million entities cost on Fargate, from rates that were measured.

    python infra/costs.py NAME=RATE ...

RATE: entities a second of a task of two vCPUs. Tasks of other sizes are taken to be
as fast as they have vCPUs. Prints a table, a column for each rate.

Prices: AWS Fargate on demand, Linux on X86_64, us-east-1, as of March 2026
(https://aws.amazon.com/fargate/pricing/), USD an hour. Other regions are dearer by 10
to 30 %, ARM64 is cheaper by a fifth. Load balancer, network, logs and idle hours come
on top.
"""

import sys

VCPU_HOUR, GIB_HOUR = 0.04048, 0.004445
SIZES = ((1, 2), (2, 4), (4, 8), (8, 16))  # vCPUs, GiB
MEASURED_VCPUS = 2


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


def table(rates: dict[str, float]) -> str:
    """Write a table in Markdown, a row for each size, a column for each rate."""
    names = [f"{name} ({rate:g}/s)" for name, rate in rates.items()]
    rows = [["vCPU, GiB", "USD an hour", *names], ["---"] + ["---:"] * (len(names) + 1)]
    for size in SIZES:
        prices = [f"{dollars_per_million(*size, rate):.2f}" for rate in rates.values()]
        name = ", ".join(map(str, size))
        rows.append([name, f"{dollars_per_hour(*size):.3f}", *prices])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(argv: list[str]) -> int:
    """Print the table of the rates that are given."""
    try:
        rates = {name: float(rate) for name, rate in (a.split("=") for a in argv)}
        print(table(rates))
    except (ValueError, ZeroDivisionError):
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
