"""The ``required_files`` and ``required_modules`` of a job, read where it is submitted."""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from disco_rq.errors import JobArgumentError
from disco_rq.packing.localcode import is_local_file, is_local_root
from disco_rq.packing.required import Required, RequiredFile

__all__ = ["MAX_FILES_BYTES", "gather"]

MAX_FILES_BYTES = 32 << 20
"""All required files and modules of one job. More belongs where all nodes read it: Redis keeps these as long
as the job, and each worker has a copy."""

_PROGRAMS = (b"#!", b"\x7fELF")
_MODULE_SUFFIXES = (".py", ".pyc", ".so", "")
_LEFT_OUT = frozenset(("__pycache__",))


def gather(modules: Any, files: Any) -> Required:
    """Read what the job needs. Raises ``JobArgumentError`` naming the argument, and the file or module."""
    found = dict(_files(files))
    tree = _Tree(provided={Path(name).stem for name in found if name.endswith(".py")})
    names = [tree.add(module) for module in _listed("required_modules", modules)]
    for path, file in tree.files.items():
        if path in found and found[path] != file:
            raise JobArgumentError(f"required_files: {path} is also that of a module in required_modules")
        found[path] = file
    _check_size(found)
    return Required(found, tuple(names), frozenset(tree.modules))


def _listed(argument: str, value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return value
    raise JobArgumentError(f"{argument}={value!r}: it takes a list")


def _check_size(files: Mapping[str, RequiredFile]) -> None:
    total = sum(len(file.content) for file in files.values())
    if total > MAX_FILES_BYTES:
        largest = max(files, key=lambda name: len(files[name].content))
        raise JobArgumentError(
            f"required_files and required_modules have {total / (1 << 20):.1f} MiB together, "
            f"{MAX_FILES_BYTES >> 20} MiB is the most; the largest is {largest}. Put big data where every "
            "node reads it, or into the input"
        )


# -- files


def _files(files: Any) -> Iterator[tuple[str, RequiredFile]]:
    if isinstance(files, Mapping):
        for name, content in files.items():
            _check_name(name)
            if not isinstance(content, bytes | bytearray):
                raise JobArgumentError(
                    f"required_files: {name} has a {type(content).__name__} as its content, it takes bytes"
                )
            yield name, RequiredFile(bytes(content), bytes(content).startswith(_PROGRAMS))
        return
    seen: dict[str, Path] = {}
    for path in _listed("required_files", files):
        if not isinstance(path, str | os.PathLike):
            raise JobArgumentError(f"required_files: {path!r} is no path")
        path = Path(os.fspath(path))
        _check_name(path.name)
        if path.name in seen:
            raise JobArgumentError(
                f"required_files: {seen[path.name]} and {path} have the same name; there are no directories"
            )
        seen[path.name] = path
        yield path.name, _read("required_files", path)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise JobArgumentError(f"required_files: {name!r} is no file name; there are no directories")


def _read(argument: str, path: Path) -> RequiredFile:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILES_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise JobArgumentError(f"{argument}: {path}: {why}") from None
    return RequiredFile(content, os.access(path, os.X_OK))


# -- modules


class _Tree:
    """Modules as files, as Python looks for them, with the local modules that they import in their turn."""

    def __init__(self, provided: set[str]) -> None:
        """``provided``: modules that are among the required files."""
        self.files: dict[str, RequiredFile] = {}
        self.modules: set[str] = set(provided)
        self._provided = provided

    def add(self, module: Any) -> str:
        """A name, or ``(name, path)``. Returns the name."""
        if isinstance(module, tuple) and len(module) == 2:
            name, path = module
            if _is_name(name) and isinstance(path, str | os.PathLike):
                self._add_at(str(name), Path(os.fspath(path)))
                return str(name)
        elif _is_name(module):
            if module.partition(".")[0] not in self._provided:
                self._add_found(module)
            return str(module)
        raise JobArgumentError(
            f"required_modules: {module!r} is neither the name of a module nor (name, path)"
        )

    def _add_found(self, name: str) -> None:
        """A module of the user's. Those of the standard library and installed ones must be on the nodes."""
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError) as error:
            raise JobArgumentError(f"required_modules: {name}: {error}") from None
        except Exception as error:
            raise JobArgumentError(f"required_modules: {name}: {type(error).__name__}: {error}") from error
        if spec is None:
            raise JobArgumentError(
                f"required_modules: there is no module {name} here; (name, path) says where"
            )
        if not is_local_root(name.partition(".")[0]):
            return
        places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
        for place in places:
            if is_local_file(place, suffixes=_MODULE_SUFFIXES):
                self._add_at(name, Path(place))

    def _add_at(self, name: str, place: Path) -> None:
        if name in self.modules:
            return
        self.modules.add(name)
        parent = name.rpartition(".")[0]
        while parent:
            self._add_parent(parent)
            parent = parent.rpartition(".")[0]
        base = name.replace(".", "/")
        if place.is_dir():
            for path in sorted(_walk(place)):
                self._add_file(f"{base}/{path.relative_to(place).as_posix()}", path, name)
        else:
            # module.cpython-311-x86_64-linux-gnu.so keeps what is behind the name
            suffixes = "".join(place.suffixes) if place.suffix == ".so" else place.suffix
            self._add_file(f"{base}{suffixes}", place, name.rpartition(".")[0])

    def _add_parent(self, name: str) -> None:
        """A package on the way to a module: its ``__init__`` only."""
        path = f"{name.replace('.', '/')}/__init__.py"
        if path in self.files:
            return
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin and Path(spec.origin).name == "__init__.py":
            self._add_file(path, Path(spec.origin), name)

    def _add_file(self, name: str, path: Path, package: str) -> None:
        self.files[name] = file = _read("required_modules", path)
        if path.suffix == ".py":
            inside = name.removesuffix(".py").replace("/", ".").rpartition(".")[0]
            for imported in _imports(file.content, inside or package):
                root = imported.partition(".")[0]
                if root not in self._provided and _is_name(imported) and is_local_root(root):
                    self._add_imported(imported)

    def _add_imported(self, name: str) -> None:
        """A module that one of ours imports; what is missing may be optional, the task will tell."""
        if any(name == known or name.startswith(f"{known}.") for known in self.modules):
            return
        try:
            spec = importlib.util.find_spec(name)
        except Exception:  # noqa: BLE001  it imports the parents, which may do anything
            return
        if spec is not None:
            self._add_found(name)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _walk(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name in _LEFT_OUT or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def _imports(source: bytes, package: str) -> Iterator[str]:
    """The modules that a file's import statements name."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
