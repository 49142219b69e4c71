"""Why something cannot be shipped, in words: the variable at fault, what it is, and what to do instead."""

from __future__ import annotations

import contextlib
import functools
import io
import socket
import threading
import types
from collections.abc import Iterator, Mapping
from typing import Any

from disco_rq.packing.localcode import is_local_name, names_of
from disco_rq.packing.shipping import ship

__all__ = ["why_unshippable"]

_LOCKS = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Semaphore,
    threading.Event,
)
_KINDS: tuple[tuple[type | tuple[type, ...], str, str], ...] = (
    (io.IOBase, "an open file", "open it inside the function"),
    (_LOCKS, "a lock", "tasks are separate processes, so leave it out or make it inside the function"),
    (socket.socket, "a socket", "connect inside the function"),
    (threading.Thread, "a thread", "start it inside the function"),
    (types.GeneratorType, "a generator", "make a list of it, or make it inside the function"),
    (types.CoroutineType, "a coroutine", "await it inside the function"),
    ((types.FrameType, types.TracebackType), "a piece of a running program", "leave it out"),
)
_CONNECTIONS = ("connection", "cursor", "session", "client", "engine", "pool", "channel", "redis")
_ADVICE = "make it inside the function (or once a task, in map_init or reduce_init)"
_DEEPEST = 12  # steps on the way to the culprit that are worth telling


def why_unshippable(value: Any, error: Exception) -> str:
    """One line on what in ``value`` keeps it from being shipped, ``error`` being what pickling raised."""
    if isinstance(error, ImportError):
        return _one_line(error)
    if isinstance(error, RecursionError) or "recursion" in str(error):
        path, _ = _descend(value, limit=1)
        return f"{_subject(path)} is nested too deeply: build it inside the function, or make it flatter"
    path, culprit = _descend(value, limit=_DEEPEST)
    known = _kind(culprit)
    if known is not None:
        kind, advice = known
        return f"{_subject(path)} is {kind} ({_type_name(culprit)}); {advice}"
    reason = _one_line(_failure(culprit) or error)
    return f"{_subject(path)} is of type {_type_name(culprit)} ({reason}); {_ADVICE}"


def _descend(value: Any, *, limit: int) -> tuple[list[str], Any]:
    """The steps to the innermost part that still cannot be shipped, and that part."""
    path: list[str] = []
    seen = {id(value)}
    while len(path) < limit and _kind(value) is None:
        for step, part in _parts(value):
            if id(part) not in seen and _failure(part) is not None:
                path.append(step)
                seen.add(id(part))
                value = part
                break
        else:
            break
    return path, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What is sent with ``value``, each with how a user would call it."""
    if isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif isinstance(value, types.MethodType):
        yield "object", value.__self__
        yield "function", value.__func__
    elif isinstance(value, functools.partial):
        yield "function", value.func
        yield from ((f"argument {i}", part) for i, part in enumerate(value.args))
        yield from ((f"argument `{name}`", part) for name, part in value.keywords.items())
    elif isinstance(value, Mapping):
        for key, part in list(value.items()):
            yield "key", key
            yield f"item [{_short(key)}]", part
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"item [{i}]", part) for i, part in enumerate(value))
    elif (
        isinstance(value, type | types.ModuleType) or is_local_name(type(value).__module__) or _is_ours(value)
    ):
        yield from ((f"attribute `{name}`", part) for name, part in _attributes(value))


def _parts_of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is not filled yet
            yield f"closure variable `{name}`", cell.cell_contents
    for name in sorted(names_of(function.__code__)):
        if name in function.__globals__:
            yield f"global `{name}`", function.__globals__[name]
    yield from (("default value", part) for part in function.__defaults__ or ())
    yield from ((f"default of `{name}`", part) for name, part in (function.__kwdefaults__ or {}).items())
    yield from ((f"attribute `{name}`", part) for name, part in vars(function).items())


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    names = dict.fromkeys(getattr(value, "__dict__", ()))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names |= dict.fromkeys([slots] if isinstance(slots, str) else slots)
    for name in names:
        if name in ("__dict__", "__weakref__", "__builtins__", "__spec__", "__loader__"):
            continue
        with contextlib.suppress(Exception):  # a descriptor of the user's
            yield (
                name,
                (vars(value)[name] if name in getattr(value, "__dict__", ()) else getattr(value, name)),
            )
    if not isinstance(value, type | types.ModuleType):
        yield "__class__", type(value)


def _failure(value: Any) -> Exception | None:
    try:
        ship(value)
    except Exception as error:  # noqa: BLE001  whatever a user's __reduce__ or __getstate__ raises
        return error
    return None


def _kind(value: Any) -> tuple[str, str] | None:
    if isinstance(value, io.StringIO | io.BytesIO):
        return None
    for types_, kind, advice in _KINDS:
        if isinstance(value, types_):
            return kind, advice
    name = type(value).__name__.lower()
    if (
        not isinstance(value, type)
        and not is_local_name(type(value).__module__)
        and name.endswith(_CONNECTIONS)
    ):
        return "a connection", "connect inside the function (or once a task, in map_init or reduce_init)"
    return None


def _is_ours(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "disco_rq"


def _subject(path: list[str]) -> str:
    return "its " + ", ".join([path[0], *(f"its {step}" for step in path[1:])]) if path else "it"


def _type_name(value: Any) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "..."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
