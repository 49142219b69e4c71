"""What code does, as a digest: the same in any process, whatever its file, its lines and its comments are.

A function is its instructions with what they load: constants, names, defaults, closures, and what its global
names stand for here and now; of local modules what the code mentions, as in ``packing.shipping``. What is
installed is its name and version. Where it cannot be told what something does, ``CannotTell`` says why: an
object of a class of C, an open file, code that reaches names by ``eval``.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import importlib
import inspect
import platform
import struct
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from disco_rq import runtime
from disco_rq.client.identityvalues import PLAIN, is_of_c, reduced
from disco_rq.machine.packages import distribution_of
from disco_rq.packing.localcode import (
    import_statements,
    imports_of,
    is_installed_file,
    is_local_module,
    is_local_name,
    names_of,
    resolved,
)
from disco_rq.version import __version__

__all__ = ["CannotTell", "Identity", "identity_of", "same_code"]

_RUNTIME = frozenset(runtime.__all__)
_BY_NAME = frozenset(("globals", "locals", "vars", "eval", "exec", "__import__", "import_module", "__dict__"))
"""Code that mentions one of these may reach anything."""
_REFLECTION = frozenset(("getattr", "hasattr", "attrgetter", "methodcaller"))
"""Code with one of these may reach any attribute of a module that it mentions."""
_NOT_OF_CLASS = frozenset(
    ("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__", "__firstlineno__")
) | {"_abc_impl", "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
_NOT_OF_CLASS |= {"__orig_bases__", "__parameters__", "__type_params__"}
_TYPES = frozenset(
    ("__annotations__", "__annotate__", "get_type_hints", "get_annotations", "signature", "getfullargspec")
)
_WORDS: list[tuple[frozenset[str], Callable[[Any], Any]]] = [
    (frozenset(("__name__", "__qualname__")), lambda one: (one.__name__, one.__qualname__)),
    (frozenset(("__doc__", "getdoc")), lambda one: one.__doc__),
    (_TYPES, lambda one: getattr(one, "__annotations__", None)),
    (frozenset(("__code__",)), lambda one: getattr(getattr(one, "__code__", None), "co_varnames", ())),
]
"""Code with one of these names may give out what else does not count of the user's functions and classes."""
_FLAGS = 0x3FF
"""Of code: what kind of function it is; not what its file imports from ``__future__``."""
_OF_C = (
    types.BuiltinFunctionType
    | types.MethodDescriptorType
    | types.WrapperDescriptorType
    | types.ClassMethodDescriptorType
    | types.MethodWrapperType
)
_NOT_OF_FUNCTION = frozenset(("__wrapped__", "__doc__"))
_NOT_OF_MODULE = frozenset(("__builtins__", "__doc__", "__file__", "__loader__", "__spec__", "__cached__"))


class CannotTell(Exception):
    """It is not known what something does; the text says of what, and why."""


class Identity(NamedTuple):
    """What some objects do."""

    digest: str
    runtime: frozenset[str]
    """Names of the runtime API that the code mentions."""


def identity_of(*objects: Any, most: int | None = None) -> Identity:
    """Of all of them together. Raises ``CannotTell``, also where they hold more than ``most`` objects."""
    reader = _Reader(most)
    try:
        for one in objects:
            reader.read(one)
        reader.read_modules()
    except CannotTell:
        raise
    except RecursionError:
        raise CannotTell("it is nested too deeply") from None
    except Exception as error:  # of a user's class, which has a say in it
        raise CannotTell(f"{type(error).__name__}: {error}") from error
    return Identity(reader.digest(), frozenset(reader.runtime))


def same_code(one: Any, other: Any) -> bool:
    """Whether both do the same, as far as it can be told."""
    if one is other:
        return True
    try:
        return identity_of(one).digest == identity_of(other).digest
    except CannotTell:
        return False


class _Reader:
    """Reads objects, depth first, into a digest. An object that was read before is its number."""

    def __init__(self, most: int | None) -> None:
        self._left = most or sys.maxsize
        self._hash = hashlib.blake2b(digest_size=16)
        self._numbers: dict[int, int] = {}
        self._held: list[Any] = []  # so that no number is given twice
        self._modules: dict[str, tuple[types.ModuleType, set[str]]] = {}  # local ones, and what was read
        self._names: set[str] = set()
        self._has_api = False  # the code has the module of the runtime API, and any name of it
        self.runtime: set[str] = set()
        self._tell("python", *sys.version_info[:2])

    def digest(self) -> str:
        return self._hash.hexdigest()

    def _tell(self, *words: str | int | bytes) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._hash.update(struct.pack(">cQ", type(word).__name__[:1].encode(), len(data)))
            self._hash.update(data)

    def read(self, obj: Any) -> None:
        obj = _found(obj)
        self._left -= 1
        if self._left < 0:
            raise CannotTell("it holds too much to be compared at every submit")
        if (kind := type(obj)) in PLAIN:
            self._tell(kind.__name__, PLAIN[kind](obj))
            return
        if kind in (tuple, frozenset):  # whether equal ones are one object is the compiler's affair
            _EXACT[kind](self, obj)
            return
        if (number := self._numbers.get(id(obj))) is not None:
            self._tell("again", number)
            return
        self._numbers[id(obj)] = len(self._numbers)
        self._held.append(obj)
        how = _EXACT.get(kind) or next((how for kinds, how in _WAYS if isinstance(obj, kinds)), None)
        if how is None:
            self.read_instance(obj)
        else:
            how(self, obj)

    def read_all(self, kind: str, values: Iterable[Any]) -> None:
        values = list(values)
        self._tell(kind, len(values))
        for value in values:
            self.read(value)

    def read_pairs(self, kind: str, pairs: Mapping[Any, Any]) -> None:
        self._tell(kind, len(pairs))
        for key, value in pairs.items():
            self.read(key)
            self.read(value)

    def read_set(self, obj: set[Any] | frozenset[Any]) -> None:
        found = [identity_of(one) for one in obj]
        self._tell(type(obj).__name__, *sorted(one.digest for one in found))
        self.runtime.update(*(one.runtime for one in found))

    def read_code(self, code: types.CodeType) -> None:
        """Instructions with what they load; nothing that tells where they stood."""
        self._tell("code", code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self._tell(code.co_flags & _FLAGS)
        self.read_all("names", [*code.co_freevars, "", *code.co_cellvars, "", *_parameters_of(code)])
        self._tell(getattr(code, "co_exceptiontable", b""))
        instructions = [one for one in dis.get_instructions(code) if one.opname != "EXTENDED_ARG"]
        for one, following in zip(instructions, [*instructions[1:], None], strict=True):
            if following is not None and following.argval == "__firstlineno__":
                continue
            self._tell(one.opname)
            if one.opcode in dis.hasconst:  # of KW_NAMES the ``dis`` of 3.11 tells no value
                self.read(code.co_consts[one.arg or 0] if one.opname == "KW_NAMES" else one.argval)
            elif one.opcode in dis.hasjrel or one.opcode in dis.hasjabs:
                self._tell(one.argval)
            elif one.argval is not None:
                self._tell(repr(one.argval))

    def read_function(self, function: types.FunctionType) -> None:
        if _is_named(function):
            self.read_named("function", function.__module__, function.__qualname__)
            return
        code = function.__code__
        names = names_of(code)
        if hidden := names & _BY_NAME:
            raise CannotTell(f"{function.__qualname__} uses {min(hidden)}, and may reach anything by it")
        self._names |= names
        self._tell("function")
        self.read_code(code)
        self.read(function.__defaults__)
        self.read(function.__kwdefaults__)
        attributes = {name: it for name, it in vars(function).items() if name not in _NOT_OF_FUNCTION}
        self.read_pairs("attributes", attributes)
        self._tell("cells", len(function.__closure__ or ()))
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                self._tell("empty")
            else:
                self.read(content)
        for name in _globals_of(code):
            self.read_global(name, function.__globals__)
        for name in imports_of(function):
            self.read(importlib.import_module(name))
        self._read_api(code)

    def _read_api(self, code: types.CodeType) -> None:
        """Names of the runtime API that the code imports when it runs."""
        for module, members in import_statements(code, ""):
            if module == runtime.__name__ and members and "*" not in members:
                self.runtime |= _RUNTIME.intersection(members)
            elif module.partition(".")[0] == "disco_rq" and (not members or "runtime" in members):
                self._has_api = True

    def read_global(self, name: str, known: Mapping[str, Any]) -> None:
        if name in _RUNTIME and (name not in known or _found(known[name]) is getattr(runtime, name)):
            self.runtime.add(name)
            self._tell("runtime", name)
        elif name in known:
            self._tell("global", name)
            self.read(known[name])
        else:  # an attribute, mostly
            self._tell("builtin" if hasattr(builtins, name) else "other", name)

    def read_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        if _is_of_users(module):
            self._tell("local module", name)
            self._modules.setdefault(name, (module, set()))
        else:
            self.read_named("module", name, "")

    def read_modules(self) -> None:
        """What the code mentions of the local modules that it mentions."""
        is_new = True
        while is_new:
            is_new = False
            for name, (module, read) in list(self._modules.items()):
                everything = self._names & _REFLECTION
                wanted = (vars(module).keys() if everything else self._names & vars(module).keys()) - read
                for attribute in sorted(wanted - _NOT_OF_MODULE):
                    is_new = True
                    self._tell("of", name, attribute)
                    self.read(vars(module)[attribute])
                read |= wanted
        for words, told in _WORDS:
            if self._names & words:
                self._read_words(told)
        if self._has_api:
            self.runtime |= _RUNTIME if self._names & _REFLECTION else _RUNTIME & self._names

    def _read_words(self, told: Callable[[Any], Any]) -> None:
        for one in self._held:
            if isinstance(one, types.FunctionType | type) and not _is_named(one):
                self._tell("words", repr(told(one)))

    def read_named(self, kind: str, module: str | None, name: str) -> None:
        """What is installed, or Python's own: as it is called, of which version."""
        root = (module or "builtins").partition(".")[0]
        self._tell(kind, module or "builtins", name)
        if root == "disco_rq":
            self._tell(__version__)
            self._has_api |= kind == "module" and module in ("disco_rq", runtime.__name__)
            if module == runtime.__name__ and name in _RUNTIME:
                self.runtime.add(name)
        elif root in sys.stdlib_module_names:
            self._tell(platform.python_version())
        else:
            self._tell(*(distribution_of(root) or ("", "")))
            self._read_files(root, module or root)

    def _read_files(self, root: str, name: str) -> None:
        """What no version tells: a module built in place, or copied to where others are installed."""
        for one in sorted({root, name}):
            file = getattr(sys.modules.get(one), "__file__", None)
            if not file or (distribution_of(root) is not None and is_installed_file(file)):
                continue
            if one == root and Path(file).stem == "__init__" and is_installed_file(file):
                raise CannotTell(f"it is not known which version of the package {root} is installed")
            self._tell(one, Path(file).read_bytes())

    def read_class(self, cls: type) -> None:
        if _is_named(cls):
            self.read_named("class", cls.__module__, cls.__qualname__)
            return
        self._tell("class", cls.__name__)
        self.read_all("bases", cls.__bases__)
        self.read(type(cls))
        slots = set(vars(cls).get("__slots__", ()))  # each has a descriptor of C
        members = {n: it for n, it in vars(cls).items() if n not in _NOT_OF_CLASS and n not in slots}
        self.read_pairs("members", dict(sorted(members.items())))

    def read_builtin(self, function: Any) -> None:
        owner = getattr(function, "__self__", None)
        self._tell("builtin", getattr(function, "__module__", None) or "", function.__qualname__)
        if owner is not None and not isinstance(owner, types.ModuleType):
            self.read(owner)
        else:
            self.read_named("of", function.__module__, "")

    def read_instance(self, obj: Any) -> None:
        """By what would make it again, if its class is of Python, or known to tell all."""
        cls = type(obj)
        if is_of_c(cls):
            raise CannotTell(f"an object of {cls.__module__}.{cls.__qualname__}, a class of C")
        self._tell("instance")
        self.read(cls)
        for part in reduced(obj):
            self.read(part)


def _found(value: Any) -> Any:
    """A value, or what its lazy import stands for."""
    try:
        return resolved(value)
    except Exception as error:  # noqa: BLE001  a module runs
        raise CannotTell(f"{value!r} fails: {type(error).__name__}: {error}") from None


def _is_of_users(module: types.ModuleType) -> bool:
    """Whether what is in it may change without a version's doing so."""
    return module.__name__ == "__main__" or is_local_module(module) or module.__name__ not in sys.modules


def _is_named(obj: Any) -> bool:
    """Whether it is what is found by its name in a module that is installed."""
    module = sys.modules.get(obj.__module__ or "")
    if module is None or is_local_name(obj.__module__):
        return False
    found: Any = module
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


def _parameters_of(code: types.CodeType) -> tuple[str, ...]:
    """Their names, in order: whoever calls may give any of them by its name."""
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + stars]


def _globals_of(code: types.CodeType) -> Iterator[str]:
    """The names that the code, and what is defined in it, loads as globals; in a fixed order, each once."""
    found: dict[str, None] = {}
    todo = [code]
    for one in todo:
        for instruction in dis.get_instructions(one):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                found[str(instruction.argval)] = None
        todo += [constant for constant in one.co_consts if isinstance(constant, types.CodeType)]
    return iter(found)


_CACHED = type(functools.lru_cache(lambda: None))
_EXACT: dict[type, Callable[[_Reader, Any], None]] = {
    list: lambda reader, obj: reader.read_all("list", obj),
    tuple: lambda reader, obj: reader.read_all("tuple", obj),
    dict: lambda reader, obj: reader.read_pairs("dict", obj),
    types.MappingProxyType: lambda reader, obj: reader.read_pairs("proxy", obj),
    set: _Reader.read_set,
    frozenset: _Reader.read_set,
}
_WAYS: list[tuple[Any, Callable[[_Reader, Any], None]]] = [
    (types.FunctionType, _Reader.read_function),
    (types.CodeType, _Reader.read_code),
    (types.ModuleType, _Reader.read_module),
    (type, _Reader.read_class),
    (types.MethodType, lambda reader, obj: reader.read_all("method", (obj.__func__, obj.__self__))),
    (_OF_C, _Reader.read_builtin),
    (staticmethod | classmethod, lambda reader, obj: reader.read_all(type(obj).__name__, (obj.__func__,))),
    (property, lambda reader, obj: reader.read_all("property", (obj.fget, obj.fset, obj.fdel))),
    (_CACHED, lambda reader, obj: reader.read_all("cached", (obj.__wrapped__, obj.cache_parameters()))),
]
