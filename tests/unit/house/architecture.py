"""How the house is built, as checks of a source tree: each yields one line for each breach.

Who may import whom is in ``pyproject.toml``, as contracts of import-linter; ``make lint`` holds them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "disco_rq"
KEYS = Path("store", "keys.py")
MAX_LINES = 450
MAX_METHODS = 20
MAX_FUNCTION_LINES = 50
MAX_AT_THE_ROOT = 12
KEY_LITERAL = re.compile(r"\bdisco:(?!//)")  # not the disco:// of addresses


@cache
def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text(), str(source))


def strings(source: Path) -> Iterator[tuple[int, str]]:
    """Every string of the file with its line, the parts of f-strings too, docstrings not."""
    docstrings = {id(node.value) for node in ast.walk(parsed(source)) if isinstance(node, ast.Expr)}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def key_literals(root: Path) -> Iterator[str]:
    for source in sorted(root.rglob("*.py")):
        if source == root / KEYS:
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


def long_functions(root: Path) -> Iterator[str]:
    for source in sorted(root.rglob("*.py")):
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{source.relative_to(root)}:{node.lineno}: {node.name} has {lines} lines"


def large_classes(root: Path) -> Iterator[str]:
    for source in sorted(root.rglob("*.py")):
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.ClassDef):
                methods = sum(isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) for it in node.body)
                if methods > MAX_METHODS:
                    yield f"{source.relative_to(root)}:{node.lineno}: {node.name} has {methods} methods"


def crowded_root(root: Path) -> Iterator[str]:
    files = sorted(root.glob("*.py"))
    if len(files) > MAX_AT_THE_ROOT:
        yield f"{len(files)} files at the root: {' '.join(file.stem for file in files)}"
