"""The source files of a job's functions, where they are here and the same: for a debugger, which goes by
file and line.
"""

from __future__ import annotations

import functools
import linecache
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from disco_rq.packing.localcode import is_local_file, is_local_module, names_of

__all__ = ["find_sources"]

_MOST_PARTS = 6
"""So much of a path is looked for in other places: ``pkg/sub/mod.py`` has three parts."""


def find_sources(functions: Iterable[Any], places: Sequence[Path], copies: Path) -> list[str]:
    """Let the code of functions, and of all that they use, know the files here that it comes from.

    Looked for where it was at submit, then in ``places``; what lies in ``copies`` came with the job.
    Returns a line for each file that is not here, or not the same.
    """
    by_file: dict[str, list[types.FunctionType]] = {}
    for function in _reached(functions):
        if is_local_file(file := function.__code__.co_filename):
            by_file.setdefault(file, []).append(function)
    lines = []
    for file, found in sorted(by_file.items()):
        is_copy = copies in Path(file).parents
        shown = str(Path(file).relative_to(copies)) if is_copy else file
        candidates = [*([] if is_copy else [Path(file)]), *_elsewhere(shown, places)]
        there = [path for path in dict.fromkeys(candidates) if path.is_file()]
        same = next((path for path in there if _holds(path, found)), None)
        if same is None:
            _keep_as_it_was(file)
            state = "has changed since the job was submitted" if there else "is not here"
            lines.append(
                f"{shown} {state}: breakpoints of an editor do not fit, the debugger shows it as it was"
            )
        elif str(same) != file:
            for function in found:
                function.__code__ = _in_file(function.__code__, str(same))
    return lines


def _reached(functions: Iterable[Any]) -> Iterator[types.FunctionType]:
    """The functions, and those that they reach by a name, an attribute or a closure."""
    waiting, seen = list(functions), set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, types.FunctionType):
            yield one
            waiting += _used_by(one)
        elif isinstance(one, functools.partial):
            waiting += [one.func, *one.args, *one.keywords.values()]
        elif isinstance(one, types.MethodType):
            waiting += [one.__func__, one.__self__]
        elif isinstance(one, types.ModuleType):
            waiting += vars(one).values() if is_local_module(one) else []
        elif isinstance(one, property):
            waiting += [one.fget, one.fset]
        elif isinstance(one, type):
            waiting += vars(one).values() if _is_local(one) else []
        elif isinstance(one, classmethod | staticmethod) or hasattr(one, "__wrapped__"):
            waiting.append(one.__wrapped__)
        elif _is_local(type(one)):
            waiting.append(type(one))


def _used_by(function: types.FunctionType) -> list[Any]:
    names = names_of(function.__code__)
    used = [value for name, value in function.__globals__.items() if name in names]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty yet
            used.append(cell.cell_contents)
    return used


def _is_local(kind: type) -> bool:
    """Whether a class has a method that is the user's own."""
    methods = (value for value in vars(kind).values() if isinstance(value, types.FunctionType))
    return any(is_local_file(method.__code__.co_filename) for method in methods)


def _elsewhere(file: str, places: Sequence[Path]) -> Iterator[Path]:
    parts = Path(file).parts
    names = parts[1:] if Path(file).is_absolute() else parts
    for start in range(max(len(names) - _MOST_PARTS, 0), len(names)):
        for place in places:
            yield place.joinpath(*names[start:])


def _holds(path: Path, functions: Sequence[types.FunctionType]) -> bool:
    """Whether the code of all of them is in this file, line by line."""
    try:
        module = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False
    held = set(_codes(module))
    return all(function.__code__ in held for function in functions)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _in_file(code: types.CodeType, file: str) -> types.CodeType:
    constants = (_in_file(one, file) if isinstance(one, types.CodeType) else one for one in code.co_consts)
    return code.replace(co_filename=file, co_consts=tuple(constants))


def _keep_as_it_was(file: str) -> None:
    """Tracebacks and debuggers show what came with the job, whatever the file of that name says now."""
    entry = linecache.cache.get(file)
    if entry is not None and len(entry) == 1:
        text = entry[0]() or ""
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
