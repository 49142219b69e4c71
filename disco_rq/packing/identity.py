"""What code does, as a digest: the same in another process, on another day, wherever its files lie.

Told are instructions, constants and names; defaults, closures and attributes of functions; what they use of
their modules' globals, and of local modules, and so on from there; classes with their methods; the versions
of installed packages and of Python. Not told are line numbers, names of files and comments: no line of these
runs. Values are told by their types and by what pickle would send of them, piece by piece; pickle's own bytes
would be others in each process. What is in a module counts as it is now, since so it travels.

What has no such pieces (a socket, a lock) cannot be told: ``CannotTell`` says where it is.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import importlib
import struct
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from typing import Any, TypeAlias

from disco_rq.packing.localcode import imports_of, is_local_module, is_local_name, names_of
from disco_rq.version import __version__

__all__ = ["CannotTell", "identity_of"]

_REFLECTION = frozenset(
    ("getattr", "hasattr", "vars", "__dict__", "attrgetter", "methodcaller", "globals", "eval", "exec")
)
"""Code with one of these may reach whatever is in a module, without its name in the code."""
_OWN_MODULE = frozenset(("globals", "vars", "eval", "exec"))
"""... and with one of these also what is in its own."""
_GLOBAL_INSTRUCTIONS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"))
_NO_PART_OF_A_CLASS = frozenset(
    (
        *("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__"),
        *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__"),
        *("__annotations_cache__", "_abc_impl", "__abstractmethods__"),
    )
)
_NO_PART_OF_A_MODULE = frozenset(
    ("__builtins__", "__loader__", "__spec__", "__cached__", "__name__", "__file__", "__path__", "__doc__")
)
_LruCache = type(functools.lru_cache(lambda: None))
_BY_NAME = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)
_EXACT: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"",
    type(...): lambda _: b"",
    type(NotImplemented): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: b"%x" % value if value >= 0 else b"-%x" % -value,
    float: lambda value: struct.pack(">d", value),
    complex: lambda value: struct.pack(">dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: bytes,
    bytearray: bytes,
}
_DIGEST_BYTES = 20
Distribution: TypeAlias = Callable[[str], "tuple[str, str] | None"]


class CannotTell(Exception):
    """There is something in it of which nobody can say whether it is the same; the text says where."""


def identity_of(value: Any, distribution_of: Distribution, imported: Set[str] = frozenset()) -> str:
    """The digest of a function, a class, or whatever holds some. Raises ``CannotTell``.

    ``distribution_of``: says which distribution, and which version of it, brought a top-level module here.
    ``imported``: local modules that the worker imports, since their files travel: told by their names, so
    these files have to be told beside it.
    """
    teller = _Teller(distribution_of, imported)
    try:
        parts = [teller.tell(value), *teller.of_modules()]
    except RecursionError:
        raise CannotTell(f"{teller.place}: it holds itself, or is too deep") from None
    about = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"
    return _digest("identity 1", about.encode(), *parts).hex()


def _digest(kind: str, *parts: bytes) -> bytes:
    whole = hashlib.blake2b(digest_size=_DIGEST_BYTES, person=b"disco-rq code")
    for part in (kind.encode(), *parts):
        whole.update(struct.pack(">Q", len(part)))
        whole.update(part)
    return whole.digest()


class _Origins:
    """Where code comes from: whether it travels, or is there already, in a version."""

    def __init__(self, distribution_of: Distribution, imported: Set[str]) -> None:
        self._distribution_of = distribution_of
        self._imported = imported

    def is_elsewhere(self, thing: Any) -> bool:
        """Whether workers import the function or class, and it is told by name and version."""
        module = thing.__module__ or ""
        if is_local_name(module) and not self.travels_as_file(module):
            return False
        found: Any = sys.modules.get(module)
        for name in thing.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is thing

    def travels_as_file(self, module: str) -> bool:
        while module:
            if module in self._imported:
                return True
            module = module.rpartition(".")[0]
        return False

    def version_of(self, module: str) -> str | None:
        """Of what has brought a module: nothing for the user's own; None: nobody knows."""
        root = module.partition(".")[0]
        if root == "disco_rq":
            return __version__
        if root in sys.stdlib_module_names or is_local_name(module) or self.travels_as_file(module):
            return ""
        known = self._distribution_of(root)
        return None if known is None else " ".join(known)


class _Teller:
    """Goes through what a value holds; each thing is told once, and remembered."""

    def __init__(self, distribution_of: Distribution, imported: Set[str]) -> None:
        self._origins = _Origins(distribution_of, imported)
        self._told: dict[int, tuple[Any, bytes]] = {}  # the things too, so that no id is another's meanwhile
        self._open: dict[int, int] = {}  # things that are being told -> how deep within each other
        self._path: list[str] = []
        self._names: set[str] = set()
        self._modules: dict[str, types.ModuleType] = {}

    @property
    def place(self) -> str:
        """Where it is now: ``map: variable helper: default of limit``."""
        return ": ".join(self._path) or "it"

    def tell(self, value: Any) -> bytes:
        exact = _EXACT.get(type(value))
        if exact is not None:
            return _digest(type(value).__name__, exact(value))
        known = self._told.get(id(value))
        if known is not None:
            return known[1]
        if id(value) in self._open:  # a circle: told by how far it is back to where it begins
            return _digest("circle", b"%d" % (len(self._open) - self._open[id(value)]))
        self._open[id(value)] = len(self._open)
        try:
            told = self._parts(value)
        finally:
            del self._open[id(value)]
        self._told[id(value)] = value, told
        return told

    def of_modules(self) -> Iterator[bytes]:
        """What the code that was told may use of local modules, as far as it or they mention it."""
        done: set[tuple[str, str]] = set()
        while True:
            more = []
            for name in sorted(self._modules):
                there = vars(self._modules[name]).keys() - _NO_PART_OF_A_MODULE
                wanted = there if self._names & _REFLECTION else there & self._names
                more += [
                    one for one in ((name, attribute) for attribute in sorted(wanted)) if one not in done
                ]
            if not more:
                return
            for name, attribute in more:
                with self._at(f"{attribute} of module {name}"):
                    value = self.tell(vars(self._modules[name])[attribute])
                yield _digest("of module", name.encode(), attribute.encode(), value)
            done.update(more)

    @contextmanager
    def _at(self, where: str) -> Iterator[None]:
        self._path.append(where)
        yield
        self._path.pop()  # left as it is by an error, which tells it

    def _all(self, kind: str, values: Iterable[Any]) -> bytes:
        return _digest(kind, *map(self.tell, values))

    def _named(self, kind: str, values: Iterable[tuple[str, Any]], *, what: str) -> bytes:
        parts = []
        for name, value in values:
            with self._at(f"{what} {name}"):
                parts += [str(name).encode("utf-8", "surrogatepass"), self.tell(value)]
        return _digest(kind, *parts)

    def _parts(self, value: Any) -> bytes:
        match value:
            case types.FunctionType():
                return self._function(value)
            case type():
                return self._class(value)
            case types.ModuleType():
                return self._module(value)
            case types.CodeType():
                return self._code(value)
            case types.MethodType():
                return self._all("method", [value.__self__, value.__func__])
            case types.BuiltinFunctionType():
                return self._builtin(value)
            case types.CellType():
                return self._all("cell", _contents(value))
            case staticmethod() | classmethod():
                return self._all(type(value).__name__, [value.__func__])
            case property():
                return self._all("property", [value.fget, value.fset, value.fdel])
            case functools.cached_property():
                return self._all("cached property", [value.func])
        if isinstance(value, _LruCache):
            return self._cached(value)
        if isinstance(value, _BY_NAME):
            return _digest("slot", value.__name__.encode())
        if type(value) in (list, tuple):
            return self._all(type(value).__name__, value)
        if type(value) in (set, frozenset):
            return _digest(type(value).__name__, *sorted(map(self.tell, value)))
        if type(value) in (dict, types.MappingProxyType):
            return self._dict(value)
        return self._object(value)

    def _dict(self, value: Any) -> bytes:
        parts = []
        for key, item in value.items():
            with self._at(f"{key!r:.40}"):
                parts += [self.tell(key), self.tell(item)]
        return _digest("dict", *parts)

    def _object(self, value: Any) -> bytes:
        """As pickle takes it apart."""
        kind = type(value)
        reduce = copyreg.dispatch_table.get(kind)
        try:
            reduced = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a user's __reduce__ or __getstate__ raises
            raise self._cannot(f"a {kind.__qualname__}: {error}") from None
        if isinstance(reduced, str):
            return self._by_name(getattr(value, "__module__", None) or "__main__", reduced)
        make, arguments, *more = reduced
        state, items, pairs = ([*more, None, None, None])[:3]
        parts = [self.tell(kind), self.tell(make), self.tell(tuple(arguments)), self.tell(state)]
        parts += [self.tell(list(items or ())), self.tell(dict(pairs or ()))]
        return _digest("object", *parts)

    # -- code

    def _function(self, function: types.FunctionType) -> bytes:
        if self._origins.is_elsewhere(function):
            return self._by_name(function.__module__, function.__qualname__)
        code = function.__code__
        names = names_of(code)
        self._names |= names
        if names & _OWN_MODULE and (own := sys.modules.get(function.__module__ or "")) is not None:
            self._modules[own.__name__] = own
        for name in imports_of(function):
            self._import(name)
        closure = zip(code.co_freevars, function.__closure__ or (), strict=True)
        used = (
            (name, function.__globals__[name]) for name in _globals_of(code) if name in function.__globals__
        )
        return _digest(
            "function",
            self._version_of(function.__module__),
            self._code(code),
            self._all("defaults", function.__defaults__ or ()),
            self._named("defaults", sorted((function.__kwdefaults__ or {}).items()), what="default of"),
            self._named("closure", closure, what="variable"),
            self._named("globals", used, what="variable"),
            self._named("attributes", sorted(vars(function).items()), what="attribute"),
        )

    def _code(self, code: types.CodeType) -> bytes:
        numbers = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        return _digest(
            "code",
            code.co_code,
            getattr(code, "co_exceptiontable", b""),
            self._all("numbers", numbers),
            self._all("names", names),
            self._all("constants", code.co_consts),
        )

    def _cached(self, function: Any) -> bytes:
        settings = function.cache_parameters()
        if not is_local_name(function.__module__):
            return self._by_name(function.__module__, function.__qualname__)
        return self._all("cached", [function.__wrapped__, settings["maxsize"], settings["typed"]])

    def _builtin(self, function: types.BuiltinFunctionType) -> bytes:
        owner = function.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return self._by_name(function.__module__ or "builtins", function.__qualname__)
        return _digest("builtin", function.__name__.encode(), self.tell(owner))

    def _class(self, cls: type) -> bytes:
        if self._origins.is_elsewhere(cls):
            return self._by_name(cls.__module__, cls.__qualname__)
        parts = sorted((name, value) for name, value in vars(cls).items() if name not in _NO_PART_OF_A_CLASS)
        return _digest(
            "class",
            cls.__name__.encode(),
            self.tell(type(cls)),
            self._all("bases", cls.__bases__),
            self._named("parts", parts, what=f"{cls.__name__}."),
        )

    def _module(self, module: types.ModuleType) -> bytes:
        if not is_local_module(module) or self._origins.travels_as_file(module.__name__):
            return self._by_name(module.__name__, "")
        self._modules[module.__name__] = module
        return _digest("module", module.__name__.encode())

    def _import(self, name: str) -> None:
        if name not in self._modules and not self._origins.travels_as_file(name):
            try:
                self._modules[name] = importlib.import_module(name)
            except Exception as error:  # noqa: BLE001  the module runs
                raise self._cannot(f"it imports {name}, which fails here: {error}") from None

    def _by_name(self, module: str, name: str) -> bytes:
        return _digest("name", module.encode(), name.encode(), self._version_of(module))

    def _version_of(self, module: str | None) -> bytes:
        version = self._origins.version_of(module or "")
        if version is None:
            root = (module or "").partition(".")[0]
            raise self._cannot(f"it uses {root}, and nothing says which version that is")
        return version.encode()

    def _cannot(self, why: str) -> CannotTell:
        return CannotTell(f"{self.place}: {why}" if self._path else why)


def _contents(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # nothing was put into it yet
        return []


@functools.lru_cache(maxsize=4096)
def _globals_of(code: types.CodeType) -> tuple[str, ...]:
    """The globals that the code, and the functions defined inside it, look up; sorted."""
    found = {it.argval for it in dis.get_instructions(code) if it.opname in _GLOBAL_INSTRUCTIONS}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(_globals_of(constant))
    return tuple(sorted(found))
