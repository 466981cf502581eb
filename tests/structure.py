"""Print the structure of the source tree from its import statements: `python tests/structure.py [CHECKOUT]`.

For each of the packages `report_gen` and `training` the script prints the number of modules, top-level names, layers,
dependencies between top-level names and cycles, and the median and largest length of files and functions. The script
reads source code and imports nothing, so it can be pointed at any checkout.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

INSTALLED = {"report_gen": "report_gen", "training": "report_gen_training"}
"""Name of the installed package by its folder in the checkout."""

Graph = dict[str, set[str]]


def describe(checkout: Path, folder: str) -> Iterator[str]:
    """Lines that describe one package of a checkout."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((checkout / folder).rglob("*.py"))}
    graph = dependencies(checkout, folder, trees)
    cycles = find_cycle(graph)
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in trees]
    functions = [length for tree in trees.values() for length in _function_lengths(tree)]
    edges = sum(map(len, graph.values()))
    yield f"{folder}: {len(trees)} modules, {len(graph)} names at the top level, {edges} dependencies"
    yield f"  layers: {len(layers(graph)) if not cycles else 'none, there is a cycle'}"
    yield f"  cycle: {' -> '.join(cycles) or 'none'}"
    yield f"  lines of a file: median {median(files):.0f}, largest {max(files)}"
    yield f"  lines of a function: median {median(functions):.0f}, largest {max(functions)}"
    for number, names in enumerate(layers(graph) if not cycles else [], start=1):
        yield f"  {number:2} {' '.join(sorted(names))}"


def dependencies(checkout: Path, folder: str, trees: dict[Path, ast.Module]) -> Graph:
    """The top-level names of a package and the other top-level names that each of them imports."""
    package = INSTALLED[folder]
    graph: Graph = {}
    for path, tree in trees.items():
        parts = (package, *path.relative_to(checkout / folder).with_suffix("").parts)
        name = parts[1]
        imported = {target for node in ast.walk(tree) for target in _targets(node, parts) if target[0] == package}
        if name != "__init__":
            known = {target[1] for target in imported if len(target) > 1 and _exists(checkout / folder, target[1])}
            graph.setdefault(name, set()).update(known - {name})
    return graph


def layers(graph: Graph) -> list[set[str]]:
    """Names by layer, the lowest first: a name is one layer above the highest name that it imports."""
    heights: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        heights[name] = 1 + max((heights[other] for other in graph.get(name, ())), default=0)
    return [
        {name for name, height in heights.items() if height == layer} for layer in range(1, max(heights.values()) + 1)
    ]


def find_cycle(graph: Graph) -> list[str]:
    """The names of one import cycle, the first repeated at the end; empty without a cycle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def _targets(node: ast.AST, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Absolute dotted names, split at the dots, that an import statement of the module `parts` names."""
    if isinstance(node, ast.Import):
        yield from (tuple(alias.name.split(".")) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = parts[: -node.level] if node.level else ()
        module = (*base, *(node.module.split(".") if node.module else ()))
        yield from ((*module, alias.name) for alias in node.names)


def _exists(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def _function_lengths(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def main() -> None:
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    for folder in INSTALLED:
        sys.stdout.write("\n".join([*describe(checkout, folder), ""]))


if __name__ == "__main__":
    main()
