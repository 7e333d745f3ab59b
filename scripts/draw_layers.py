"""Draw what imports what on a request's way, into docs/architecture.md.

From the code itself: every module that ``wsgi.py``, ``gunicorn.conf.py`` and Gunicorn's
worker bring along, by folder. An arrow that others imply is left out.
"""

import ast
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn by scripts/draw_layers.py -->\n", "<!-- end -->"
PACKAGE = "negation_api"
SOURCES = ("wsgi.py", "gunicorn.conf.py")
START = "wsgi.py, gunicorn.conf.py"
WORKER = f"{PACKAGE}.server.worker"  # named in gunicorn.conf.py as a string


def layer_of(module: str) -> str:
    """Give the folder, or the module, that stands right below the package."""
    return module.split(".")[1] if "." in module else ""


def roots(graph) -> set[str]:
    """Give the modules of ours that the two configuration files import."""
    found = {WORKER, f"{PACKAGE}.http.app"}  # the latter by create_app
    for source in SOURCES:
        tree = ast.parse((ROOT / source).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name.name}" for name in node.names]
                found |= {node.module, *names} & graph.modules
    return found


def on_the_way(graph) -> set[str]:
    """Give the modules that are loaded to answer a request."""
    found, left = set(), roots(graph)
    while left:
        module = left.pop()
        found.add(module)
        left |= graph.find_modules_directly_imported_by(module) - found
    return {module for module in found if layer_of(module)}


def arrows(graph, modules: set[str]) -> dict[str, set[str]]:
    """Give for each layer those it imports, less what another of them implies."""
    direct: dict[str, set[str]] = {layer_of(module): set() for module in modules}
    direct[START] = {layer_of(module) for module in roots(graph) & modules}
    for module in modules:
        for other in graph.find_modules_directly_imported_by(module) & modules:
            if layer_of(other) != layer_of(module):
                direct[layer_of(module)].add(layer_of(other))

    def reach(layer: str) -> set[str]:
        return set().union(*({other} | reach(other) for other in direct[layer]))

    return {
        layer: {
            other
            for other in others
            if not any(other in reach(third) for third in others - {other})
        }
        for layer, others in direct.items()
    }


def draw() -> str:
    """Give the picture as Mermaid, which Git hosts show as one."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)
    modules = on_the_way(graph)
    lines = ["```mermaid", "flowchart TD"]
    for layer, others in sorted(arrows(graph, modules).items()):
        inside = [m.split(".")[2:] for m in modules if layer_of(m) == layer]
        names = ", ".join(sorted(name for own in inside for name in own))
        label = f"<b>{layer}</b><br>{names}" if names else f"<b>{layer}</b>"
        lines.append(f'    {_node(layer)}["{label}"]')
        lines += [f"    {_node(layer)} --> {other}" for other in sorted(others)]
    return "\n".join([*lines, "```\n"])


def _node(layer: str) -> str:
    return "start" if layer == START else layer


def redrawn(text: str) -> str:
    """Give *text* with the picture of today between its two comments."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + draw() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAPER.write_text(redrawn(PAPER.read_text(encoding="utf-8")), encoding="utf-8")
