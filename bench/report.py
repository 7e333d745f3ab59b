"""Put tables and picture of a run into a document, and beside it.

    python bench/report.py RESULTS.json docs/performance.md

RESULTS.json is what ``run.py``, ``one_core.py`` or ``exits.py`` wrote.
"""

import json
import sys
from pathlib import Path
from statistics import median

NAMES = {"base": "BERT-base", "embedded": "embedded"}
PEERS = ("pipeline", "litserve", "mosec", "bentoml")
COMPARED = "32"  # clients


def tables(found: dict) -> str:
    """Render a run as Markdown."""
    told = machine_line(found["machine"])
    if "ours" in found["runs"][0]:
        told += f" wrk used {most_of_wrk(found):.2f} of a core at most."
    parts = [told, *(section(run) for run in found["runs"])]
    if "ours" in found["runs"][0]:
        parts.append(summary(found["runs"]))
    return "\n\n".join(parts)


def summary(runs: list[dict]) -> str:
    """Compare our service with the bound and the peers, at COMPARED clients."""
    peers = [name for name in PEERS if any(name in run for run in runs)]
    lines = [f"At {COMPARED} clients:", ""]
    lines.append("| | of the bound " + "".join(f"| times {p} " for p in peers) + "|")
    lines.append("| --- " + "| ---: " * (1 + len(peers)) + "|")
    for run in runs:
        if COMPARED not in run["ours"]["clients"]:
            continue
        ours = run["ours"]["clients"][COMPARED]["rate"]
        cells = [f"{NAMES[run['model']]}, {run['precision']}"]
        cells.append(f"{ours / run['bound']['rate']:.2f}" if "bound" in run else "")
        for name in peers:
            peer = run.get(name, {}).get("clients", {}).get(COMPARED)
            done = peer and peer["rate"]
            cells.append(f"{ours / done:.1f}" if done else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def most_of_wrk(found: dict) -> float:
    """Give the largest part of a core that the load generator took for our service."""
    loads = (run["ours"]["clients"].values() for run in found["runs"])
    return max(load["wrk_cores"] for each in loads for load in each)


def section(run: dict) -> str:
    """Render one model at one precision."""
    lines = [f"**{NAMES[run['model']]}, {run['precision']}**", ""]
    bound = run.get("bound")
    if bound:
        best = bound["ways"][0]
        lines += [
            f"Bound: {bound['rate']:.0f} sentences a second (batches of"
            f" {best['tokens']} padded tokens, {best['way']}); a lone sentence"
            f" {bound['lone_ms']:.1f} ms. That is {bound['gflops']:.0f} GFLOP/s in the"
            " linear layers, of"
            f" {bound['peak_gflops']:.0f} that a large product reaches.",
            "",
        ]
    if "shapes" in run:
        return "\n".join([*lines, *shape_table(run["shapes"])])
    lines += client_table(run, bound)
    ours = run.get("ours", {})
    if ours.get("notes"):
        lines += ["", *note_table(ours, bound)]
    return "\n".join(lines)


def client_table(run: dict, bound: dict | None) -> list[str]:
    """Sentences a second and latencies by server and number of clients."""
    lines = [
        "| server | clients | sentences/s | of the bound | p50 ms | p95 ms | p99 ms"
        " | errors | memory MB |",
        "| --- " + "| ---: " * 8 + "|",
    ]
    for name in ("ours", *PEERS):
        for clients, load in run.get(name, {}).get("clients", {}).items():
            share = f"{load['rate'] / bound['rate']:.2f}" if bound else ""
            memory = f"{run[name]['memory_mb']:.0f}"
            times = " | ".join(f"{load[p]:.0f}" for p in ("p50", "p95", "p99"))
            lines.append(
                f"| {name} | {clients} | {load['rate']:.0f} | {share} | {times}"
                f" | {load['errors']:.0f} | {memory} |"
            )
    return lines


def note_table(ours: dict, bound: dict | None) -> list[str]:
    """Entities a second by the size of one note, and what four clients notice."""
    lines = ["| entities in one note | seconds | entities/s | of the bound |"]
    lines.append("| ---: | ---: | ---: | ---: |")
    for size, one in ours["notes"].items():
        share = f"{one['rate'] / bound['rate']:.2f}" if bound else ""
        lines.append(f"| {size} | {one['seconds']:.3f} | {one['rate']:.0f} | {share} |")
    quiet, busy = ours["beside"]["quiet"], ours["beside"]["busy"]
    lines += [
        "",
        f"Four clients: p99 {quiet['p99']:.0f} ms alone, {busy['p99']:.0f} ms beside a"
        " note of 1,000 entities.",
        f"Start to first answer: {ours['start_seconds']:.1f} s. Where the time of one"
        " sentence's request goes, median ms: "
        + ", ".join(f"{k} {v:.2f}" for k, v in ours["timing"].items())
        + ".",
    ]
    return lines


def shape_table(shapes: dict) -> list[str]:
    """Rates by workers and inference threads."""
    lines = ["| workers x threads | 32 clients: sentences/s | p99 ms | one note:"]
    lines[0] += " entities/s | memory MB |"
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for shape, found in shapes.items():
        many, one = found["clients"], found["note"]
        lines.append(
            f"| {shape.replace('x', ' x ')} | {many['rate']:.0f} | {many['p99']:.0f}"
            f" | {one['rate']:.0f} | {found['memory_mb']:.0f} |"
        )
    return lines


def plotter():
    """Give matplotlib's pyplot, which only pictures need, without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw(found: dict, output: Path) -> None:
    """Draw latency against throughput, a panel for each model and precision."""
    pyplot = plotter()
    colours = {"ours": "#0b6e99", "pipeline": "#b3541e", "litserve": "#4a7c2c"}
    runs = found["runs"]
    figure, panels = pyplot.subplots(
        1,
        len(runs),
        figsize=(3.4 * len(runs), 3.6),
        layout="constrained",
        squeeze=False,
    )
    for run, axes in zip(runs, panels[0]):
        for name, marker in zip(("ours", *PEERS), "osv^D"):
            loads = run.get(name, {}).get("clients", {}).values()
            x, y = [load["rate"] for load in loads], [load["p50"] for load in loads]
            axes.plot(
                x, y, marker=marker, color=colours.get(name, "#666666"), label=name
            )
        if "bound" in run:
            axes.axvline(run["bound"]["rate"], color="#999999", linestyle=":")
        axes.set(title=f"{NAMES[run['model']]}, {run['precision']}", yscale="log")
        axes.set(xlabel="sentences a second", ylabel="median latency, ms")
        axes.set_xlim(left=0)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(output, dpi=110, metadata={"Software": None})


def machine_line(machine: dict) -> str:
    """Say what a run ran on."""
    int8 = ", ".join(machine["int8"]) or "no VNNI"
    told = f"{machine['cpu']}, {machine['cores']} cores ({int8})"
    return f"{told}, Python {machine['python']}, torch {machine['torch']}."


def notes_table(found: dict) -> str:
    """Render how fast and how right each system is on one core."""
    systems = found["systems"]
    metrics = list(next(iter(systems.values()))["scores"])[:2]
    lines = [
        f"{machine_line(found['machine'])} {found['notes']} notes with"
        f" {found['entities']} entities; right about {found['rows']}, with 95 %"
        " intervals.",
        "",
        f"| system | entities/s | least and most | {' | '.join(metrics)} |",
        "| --- | ---: | ---: |" + " ---: |" * len(metrics),
    ]
    for name, system in systems.items():
        rates = system["rates"]
        cells = [
            name,
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
        ]
        for metric in metrics:
            value, low, high = system["scores"][metric]
            cells.append(f"{value:.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_notes(found: dict, output: Path) -> None:
    """Draw accuracy against entities a second, a dot a system."""
    pyplot = plotter()
    pyplot.rcParams |= {"svg.hashsalt": "notes", "svg.fonttype": "none"}
    figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for name, system in found["systems"].items():
        x = median(system["rates"])
        y, low, high = system["scores"]["negated or not"]
        colour = "#0b6e99" if name.startswith("ours") else "#b3541e"
        axes.errorbar(
            x, y, [[y - low], [high - y]], fmt="o", color=colour, elinewidth=1
        )
        # Slanted, as names of equally right systems stand side by side.
        style = {"color": colour, "fontsize": 8, "rotation": 30}
        axes.annotate(name, (x, y), (3, 4), textcoords="offset points", **style)
    axes.set(xlabel="entities a second on one core", ylabel="negated or not, accuracy")
    axes.set(xscale="log")
    axes.margins(x=0.15, y=0.2)
    figure.savefig(output, metadata={"Date": None})


def exits_table(found: dict) -> str:
    """Render each mode beside the one without exits, medians of rounds."""
    lines = [
        f"{machine_line(found['machine'])} In brackets: of what it is with exits off.",
        "",
        "| embedded | exits | 32 clients: sentences/s | one note: entities/s"
        " | a lone sentence, ms | of a core, ms | without the model"
        " | errors | answered after layers |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for run in found["exits"]:
        for mode, rounds in run["rounds"].items():
            cells = [run["precision"], mode]
            for what, digits in (("clients", 0), ("note", 0), ("lone_ms", 1)):
                pairs = zip(rounds, run["rounds"]["off"], strict=True)
                ratio = median(one[what] / off[what] for one, off in pairs)
                value = median(one[what] for one in rounds)
                cells.append(f"{value:.{digits}f} ({ratio:.2f})")
            for what in ("core_ms", "around_ms"):
                cells.append(f"{median(one[what] for one in rounds):.2f}")
            cells.append(f"{sum(one['errors'] for one in rounds):.0f}")
            counts = run["layers"][mode]
            total = sum(counts.values())
            shares = (f"{n}: {count / total:.0%}" for n, count in counts.items())
            cells.append(", ".join(shares))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def fill(document: Path, name: str, table: str) -> None:
    """Put *table* into *document*, between the comments with *name*."""
    text = document.read_text()
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not end:
        raise SystemExit(f"{document}: has no place for {name}")
    document.write_text(f"{before}{begin}\n{table}\n\n{end}{after}")


def main(results: Path, document: Path) -> None:
    """Fill *document*; draw the picture of a run that has one beside it."""
    found = json.loads(results.read_text())
    if "systems" in found:
        picture = document.with_name("notes.svg")
        draw_notes(found, picture)
        link = f"![Accuracy against entities a second]({picture.name})"
        fill(document, "notes", f"{link}\n\n{notes_table(found)}")
    elif "exits" in found:
        fill(document, "exits", exits_table(found))
    elif "shapes" in found["runs"][0]:
        fill(document, "shapes", tables(found))
    else:
        fill(document, "results", tables(found))
        if "ours" in found["runs"][0]:
            draw(found, document.with_suffix(".png"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
