"""What DESIGN.md says about the modules, as checks of a source tree: each yields one line for each breach."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "disco_rq"
MAX_LINES = 450

LAYERS = (
    {"version", "errors", "settings", "model", "params"},
    {
        "keys",
        "planner",
        "assignment",
        "jobstate",
        "nodestate",
        "turns",
        "stragglers",
        "stranded",
        "server",
        "packing",
        "records",
        "shuffle",
        "inputs",
        "saving",
        "locations",
        "datawire",
        "remote",
        "installed",
    },
    {"scripts", "store"},
    {
        *("runtime", "func", "netstr", "external", "stages", "usercode", "submission", "resultfiles"),
        *("arguments", "profiling", "dataserver", "fetch", "taskfiles", "timelimit"),
    },
    {
        *(
            "master",
            "speculation",
            "caretaker",
            "retention",
            "client",
            "job",
            "facts",
            "doctor",
            "fitness",
            "progress",
            "local",
            "localtasks",
        ),
        *("embedded", "supervisor"),
        *("worker", "horse", "orphans", "execution", "rehearsal", "leases", "attemptlog", "node", "dataport"),
        *("mishaps", "nodeload", "listening", "overuse", "rqrecords"),
    },
    {"cli", "web", "clusterhost"},
    {"examples"},
)
"""Imports go from a later layer to an earlier one, or stay in their own."""

STRANGERS = (
    {"client", "job"},
    {"master", "speculation", "caretaker", "retention"},
    {"worker", "mishaps", "horse", "execution", "leases", "attemptlog", "node"},
)
"""They meet in Redis only: none imports another, not even by way of a third module."""

MAY_IMPORT_RQ = {"master", "worker", "horse", "node", "caretaker", "rqrecords"}
KEY_LITERAL = re.compile(r"\bdisco:(?!//)")  # not the disco:// of addresses


def part_of(module: str) -> str:
    """``disco_rq.cli.progress`` → ``cli``; the package itself → ``""``."""
    return module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


def module_of(source: Path, root: Path) -> str:
    names = source.relative_to(root.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@cache
def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text(), str(source))


def imports(source: Path) -> Iterator[tuple[int, str]]:
    """Every import of the file with its line, in functions too; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def strings(source: Path) -> Iterator[tuple[int, str]]:
    """Every string of the file with its line, the parts of f-strings too, docstrings not."""
    docstrings = {id(node.value) for node in ast.walk(parsed(source)) if isinstance(node, ast.Expr)}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def own_imports(source: Path) -> Iterator[tuple[int, str]]:
    """The parts of our package that the file imports, as ``store``; ``""`` for the package itself."""
    for line, name in imports(source):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            part = part_of(name)
            yield line, part if any(part in layer for layer in LAYERS) else ""


def modules_without_a_layer(root: Path) -> Iterator[str]:
    for source in sorted(root.rglob("*.py")):
        part = part_of(module_of(source, root))
        if part and not any(part in layer for layer in LAYERS):
            yield f"{source.relative_to(root)}: {part} has no place in tests/unit/architecture.py"


def imports_against_the_layers(root: Path) -> Iterator[str]:
    layer_of = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    for source in sorted(root.rglob("*.py")):
        part = part_of(module_of(source, root))
        if part not in layer_of:
            continue  # the package's own __init__ gathers the public names from everywhere
        for line, other in own_imports(source):
            # The package itself is the public API, which only what is built on it may use.
            if layer_of.get(other, len(LAYERS) - 2) > layer_of[part]:
                yield f"{source.relative_to(root)}:{line}: {part} imports {other or PACKAGE}"


def strangers_that_meet(root: Path) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for source in sorted(root.rglob("*.py")):
        part = part_of(module_of(source, root))
        graph.setdefault(part, set()).update(other for _, other in own_imports(source) if other)

    def reached_from(part: str, seen: set[str]) -> set[str]:
        for other in graph.get(part, set()) - seen:
            seen.add(other)
            reached_from(other, seen)
        return seen

    for group in STRANGERS:
        for part in sorted(group):
            for other in sorted(reached_from(part, set())):
                if any(other in strangers for strangers in STRANGERS if strangers is not group):
                    yield f"{part} imports {other}, directly or not"


def imports_of_rq(root: Path) -> Iterator[str]:
    for source in sorted(root.rglob("*.py")):
        part = part_of(module_of(source, root))
        for line, name in imports(source):
            if name.partition(".")[0] == "rq" and part not in MAY_IMPORT_RQ:
                yield f"{source.relative_to(root)}:{line}: {part} imports rq"


def key_literals(root: Path) -> Iterator[str]:
    for source in sorted(root.rglob("*.py")):
        if part_of(module_of(source, root)) == "keys":
            continue
        for line, text in strings(source):
            if KEY_LITERAL.search(text):
                yield f"{source.relative_to(root)}:{line}: {text!r}"
    for script in sorted(root.rglob("*.lua")):
        for number, text in enumerate(script.read_text().splitlines(), 1):
            if KEY_LITERAL.search(text.partition("--")[0]):
                yield f"{script.relative_to(root)}:{number}: {text.strip()}"


def long_files(root: Path) -> Iterator[str]:
    for source in sorted([*root.rglob("*.py"), *root.rglob("*.lua")]):
        lines = len(source.read_text().splitlines())
        if lines > MAX_LINES:
            yield f"{source.relative_to(root)}: {lines} lines, a noun is missing"
