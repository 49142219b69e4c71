"""Objects to bytes and back; code that the workers cannot import travels inside.

By value go functions and classes of ``__main__``, closures and lambdas (cloudpickle does so by itself), and
those of *local* modules: loaded from a Python file that is neither in the standard library, nor in a
site-packages or dist-packages directory, nor part of disco-rq. Everything else is imported on the worker.

A shipment is a row of pickles that share one memo: the object, then rounds of ``(module, attributes,
importable)``. A local module is first sent empty; a round adds the attributes whose names the code sent so
far mentions, until nothing new is mentioned. So modules may refer to each other in circles, and a lock in a
module does no harm unless it is used. The last pickle is what the files of that code say, for tracebacks: a
worker need not have them.
"""

from __future__ import annotations

import functools
import importlib
import io
import linecache
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import cloudpickle
import lz4.frame

from disco_rq.packing.localcode import (
    LazyImport,
    imports_of,
    is_installed_root,
    is_local_file,
    is_local_module,
    is_local_name,
    names_of,
)

__all__ = ["Shipment", "ship", "shipment", "unship"]

_Round = list[tuple[types.ModuleType, dict[str, Any], bool]]
_LruCache = type(functools.lru_cache(lambda: None))
_OPEN_FILES = (io.TextIOWrapper, io.FileIO, io.BufferedReader, io.BufferedWriter, io.BufferedRandom)
_NOT_SENT = frozenset(("__builtins__", "__loader__", "__spec__", "__cached__", "__name__"))
_ALWAYS_SENT = frozenset(("__file__", "__package__", "__path__", "__doc__"))
_MOST_SOURCE_CHARS = 1 << 20
"""Source files of a shipment beyond this are left out."""
# Code with these may reach any attribute of a module, without its name in the code.
_REFLECTION = frozenset(
    ("getattr", "hasattr", "vars", "__dict__", "globals", "eval", "exec", "attrgetter", "methodcaller")
)

_registering = threading.RLock()  # cloudpickle's registry of modules by value is global


class Shipment(NamedTuple):
    """Objects as bytes, and the top-level modules that are imported where these arrive."""

    data: bytes
    foreign: frozenset[str]


def ship(obj: Any, imported: Set[str] = frozenset()) -> bytes:
    """``obj`` as bytes. Raises like ``shipment``."""
    return shipment(obj, imported).data


def shipment(obj: Any, imported: Set[str] = frozenset()) -> Shipment:
    """``obj`` as bytes, and what it needs. Raises what pickling raises: nearly anything, as user classes have
    a say in it.

    ``imported``: local modules that the worker imports like any other, since their files travel too.
    """
    file = io.BytesIO()
    with _registering, _local_modules_by_value(imported) as register:
        pickler = _Pickler(file, register, imported)
        pickler.dump(obj)
        while more := pickler.next_round():
            pickler.dump(more)
        pickler.dump([])
        pickle.dump(_sources(sorted(pickler.files)), file, pickle.HIGHEST_PROTOCOL)
    roots = {name.partition(".")[0] for name in pickler.foreign}
    travel = {name.partition(".")[0] for name in imported}
    return Shipment(file.getvalue(), frozenset(filter(is_installed_root, roots - travel)))


def unship(data: bytes) -> Any:
    """A new copy of what was shipped. Runs code: only for bytes whose origin is trusted."""
    file = io.BytesIO(data)
    unpickler = pickle.Unpickler(file)
    obj = unpickler.load()
    while more := unpickler.load():
        for module, attributes, importable in more:
            vars(module).update(attributes)
            if importable:  # for an import statement inside a function
                sys.modules.setdefault(module.__name__, module)
    for name, source in pickle.load(file).items():
        # Looked at where there is a traceback to show, and no file of that name.
        linecache.cache[name] = (functools.partial(_source_again, source),)
    return obj


def _sources(files: Iterable[str]) -> dict[str, bytes]:
    """What source files say, those that are known and not too much."""
    sources, room = {}, _MOST_SOURCE_CHARS
    for file in files:
        linecache.checkcache(file)
        text = "".join(linecache.getlines(file))
        if 0 < len(text) <= room:
            room -= len(text)
            sources[file] = lz4.frame.compress(text.encode("utf-8", "surrogatepass"))
    return sources


def _source_again(compressed: bytes) -> str:
    text: bytes = lz4.frame.decompress(compressed)
    return text.decode("utf-8", "surrogatepass")


def empty_module(name: str) -> types.ModuleType:
    """A local module as it arrives, before its attributes."""
    return types.ModuleType(name)


def cached_again(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A function with a cache as it arrives: with an empty cache."""
    return functools.lru_cache(maxsize, typed)(function)


def code_again(file: str, make: Callable[..., types.CodeType], arguments: tuple[Any, ...]) -> types.CodeType:
    """Code as it arrives: it knows its file, for tracebacks and profiles. cloudpickle 3.1.3 drops it."""
    return make(*arguments).replace(co_filename=file)


def lazy_again(found: Any) -> Any:
    """What a lazy import stands for, as it arrives: imported."""
    return found


_foreign: dict[str, types.ModuleType] = {}
"""Modules that were looked at before and are not local: there are hundreds."""
_local: dict[str, types.ModuleType] = {}
"""Those that are."""
_looked_at: list[list[Any]] = []
"""The names and ids of all that there were then."""


def _module_of(obj: Any) -> str | None:
    """The module that a module, function or class is of; None for anything else."""
    if isinstance(obj, types.ModuleType):
        return obj.__name__
    by_name = types.FunctionType | types.BuiltinFunctionType | type | _LruCache
    return obj.__module__ if isinstance(obj, by_name) else None


def _is_among(name: str | None, modules: Set[str]) -> bool:
    """Whether a module is one of them, or in one of these packages."""
    while name:
        if name in modules:
            return True
        name = name.rpartition(".")[0]
    return False


def _local_modules() -> dict[str, types.ModuleType]:
    """Those that are imported now, by their names."""
    now: list[list[Any]] = [list(sys.modules), list(map(id, sys.modules.values()))]
    if now != _looked_at:
        _local.clear()
        for name, module in list(sys.modules.items()):
            if _foreign.get(name) is module:
                continue
            # One module may be there under two names: the registry goes by __name__.
            is_local = getattr(module, "__name__", None) == name and is_local_module(module)
            (_local if is_local else _foreign)[name] = module
        _looked_at[:] = now
    return _local


@contextmanager
def _local_modules_by_value(imported: Set[str]) -> Iterator[Callable[[], None]]:
    """Tell cloudpickle about the local modules, for a while. Yields what to call when more were imported."""
    ours: dict[str, types.ModuleType] = {}

    def register() -> None:
        before = cloudpickle.list_registry_pickle_by_value()
        for name, module in _local_modules().items():
            if name not in before and not _is_among(name, imported):
                cloudpickle.register_pickle_by_value(module)
                ours[name] = module

    try:
        register()
        yield register
    finally:
        for module in ours.values():
            cloudpickle.unregister_pickle_by_value(module)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, with modules in rounds, caches, and no copies of open files."""

    def __init__(self, file: io.BytesIO, register: Callable[[], None], imported: Set[str]) -> None:
        super().__init__(file)
        self._register = register
        self._imported = imported
        self.foreign: set[str] = set()
        """Modules of what is sent by its name, local ones too."""
        self.files: set[str] = set()
        """Of the code that is sent."""
        self._names: set[str] = set()
        self._imports: dict[
            str, None
        ] = {}  # an ordered set: full names of local modules imported inside functions
        self._modules: dict[str, types.ModuleType] = {}
        self._sent: dict[str, set[str]] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.CodeType):
            if is_local_file(obj.co_filename) or obj.co_filename in linecache.cache:  # a cell of a notebook
                self.files.add(obj.co_filename)
            return code_again, (obj.co_filename, *self.dispatch_table[types.CodeType](obj))
        if LazyImport and type(obj) is LazyImport:
            found = obj.resolve()
            self._register()
            return lazy_again, (found,)
        if (name := _module_of(obj)) is not None:
            self.foreign.add(name)
        if self._imported and _is_among(_module_of(obj), self._imported):
            return super().reducer_override(obj)
        if isinstance(obj, types.ModuleType) and is_local_module(obj):
            self._modules[obj.__name__] = obj
            return empty_module, (obj.__name__,)
        if isinstance(obj, _LruCache) and is_local_name(obj.__module__):
            # Its own __reduce__ is its name, which no worker can import.
            settings = obj.cache_parameters()
            return cached_again, (obj.__wrapped__, settings["maxsize"], settings["typed"])
        if isinstance(obj, _OPEN_FILES) and obj not in (sys.stdin, sys.stdout, sys.stderr):
            # cloudpickle would send the rest of a file that is open for reading, as text.
            raise TypeError("cannot pickle an open file")
        if isinstance(obj, types.FunctionType) and is_local_name(obj.__module__):
            self._names |= names_of(obj.__code__)
            self._imports |= dict.fromkeys(imports_of(obj))
        return super().reducer_override(obj)

    def next_round(self) -> _Round:
        """What of the local modules met so far is still to be sent; empty at the end."""
        self._import_what_functions_import()
        everything = bool(self._names & _REFLECTION)
        round_ = []
        for name, module in list(self._modules.items()):
            first = name not in self._sent
            sent = self._sent.setdefault(name, set(_NOT_SENT))
            wanted: Iterable[str] = (
                vars(module) if everything else (self._names | _ALWAYS_SENT) & vars(module).keys()
            )
            attributes = {attribute: vars(module)[attribute] for attribute in wanted if attribute not in sent}
            sent.update(attributes)
            if attributes or first:
                round_.append((module, attributes, name in self._imports))
        return round_

    def _import_what_functions_import(self) -> None:
        for name in list(self._imports):
            if name not in self._modules and not _is_among(name, self._imported):
                try:
                    self._modules[name] = importlib.import_module(name)
                except Exception as error:  # noqa: BLE001  the module runs
                    raise ImportError(f"import of the local module {name} fails here: {error}") from None
                self._register()
