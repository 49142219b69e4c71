"""Which code is the user's own, and what a function's code mentions."""

from __future__ import annotations

import dis
import importlib.util
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = [
    *("import_statements", "imports_of", "is_installed_file", "is_installed_root", "is_local_file"),
    *("is_local_module", "is_local_name", "is_local_root", "names_of"),
    *("LazyImport", "resolved"),
]

LazyImport: Any = getattr(types, "LazyImportType", ())
"""What a global is after ``lazy import`` until somebody uses it (Python 3.15); () before."""

_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_STDLIB = tuple(
    path + os.sep
    for key in ("stdlib", "platstdlib")
    for path in {sysconfig.get_path(key), os.path.realpath(sysconfig.get_path(key))}
)
_INSTALLED = frozenset(("site-packages", "dist-packages"))


def resolved(value: Any) -> Any:
    """The value of a global; what a lazy import stands for, which is imported now and may raise anything."""
    return value.resolve() if LazyImport and type(value) is LazyImport else value


def is_local_module(module: types.ModuleType) -> bool:
    """Whether the module is the user's: a worker cannot be expected to have it. ``__main__`` does not
    count."""
    if module.__name__.partition(".")[0] in ("disco_rq", "__main__"):
        return False
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and is_local_file(file)


def is_local_name(name: str | None) -> bool:
    """Whether functions that say they are of the module ``name`` travel by value."""
    module = sys.modules.get(name or "__main__")
    return module is None or module.__name__ == "__main__" or is_local_module(module)


def names_of(code: types.CodeType) -> frozenset[str]:
    """Every global and attribute that the code, and the functions defined inside it, mention."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_of(constant)
    return frozenset(names)


def imports_of(function: types.FunctionType) -> Iterator[str]:
    """Full names of the local modules that the function imports when it runs, parents first."""
    package = function.__globals__.get("__package__") or ""
    for base, members in import_statements(function.__code__, package):
        if not is_local_root(base.partition(".")[0]):
            continue
        parts = base.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))
        yield from (f"{base}.{member}" for member in members if _exists(f"{base}.{member}"))


def import_statements(code: types.CodeType, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Module and names of each ``import`` that the code, and the functions defined inside it, do."""
    # Few functions import anything, and to look at each instruction takes as long as to pickle them all.
    instructions = list(dis.get_instructions(code)) if _IMPORT_NAME in code.co_code[::2] else []
    for i, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level, members = (instructions[i - 2].argval, instructions[i - 1].argval)
            name = str(instruction.argval)
            if level and package:
                yield importlib.util.resolve_name("." * level + name, package), tuple(members or ())
            elif not level:
                yield name, tuple(members or ())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from import_statements(constant, package)


def is_local_root(name: str) -> bool:
    """Whether the top-level module of that name, imported or not, is the user's."""
    if name in sys.stdlib_module_names or name in ("disco_rq", "__main__"):
        return False
    if (module := sys.modules.get(name)) is not None and getattr(module, "__file__", None):
        return is_local_module(module)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = (
        [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    )
    return any(is_local_file(place, suffixes=(".py", ".pyc", "")) for place in places)


def is_installed_root(name: str) -> bool:
    """Whether a top-level module, which is imported here, is neither the user's, nor Python's, nor ours."""
    if name in sys.stdlib_module_names or name in ("disco_rq", "cloudpickle", "__main__", "__mp_main__"):
        return False
    module = sys.modules.get(name)
    return module is not None and not is_local_module(module)


def _exists(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):  # the parent is a module without submodules
        return False


@lru_cache(maxsize=4096)
def is_local_file(file: str, suffixes: tuple[str, ...] = (".py", ".pyc")) -> bool:
    """Whether the file is the user's, and of these kinds."""
    if Path(file).suffix not in suffixes:
        return False  # a compiled extension cannot travel by value
    real = os.path.realpath(file)
    if any(path.startswith(_STDLIB) for path in (file, real)):
        return False
    return not is_installed_file(file)


@lru_cache(maxsize=4096)
def is_installed_file(file: str) -> bool:
    """Whether the file lies where packages are installed."""
    return any(_INSTALLED.intersection(Path(path).parts) for path in (file, os.path.realpath(file)))
