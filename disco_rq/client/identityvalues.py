"""Values whose identity is what they are: their text tells it, or what would make them again."""

from __future__ import annotations

import array
import builtins
import collections
import copyreg
import datetime
import decimal
import functools
import operator
import re
import types
import zoneinfo
from collections.abc import Callable
from typing import Any

__all__ = ["PLAIN", "is_of_c", "reduced"]

PLAIN: dict[type, Callable[[Any], str | bytes]] = {
    **dict.fromkeys((type(None), bool, int, float, complex, type(...), type(NotImplemented), range), repr),
    str: lambda text: text,
    bytes: lambda data: data,
    slice: repr,
}
"""Each of exactly this type as text or bytes."""
if sentinel := getattr(builtins, "sentinel", None):  # Python 3.15
    PLAIN[sentinel] = lambda one: f"{one.__module__}.{one.__name__}"

_TELLING = {
    *(object, int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset),
    *(
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        datetime.tzinfo,
    ),
    *(decimal.Decimal, zoneinfo.ZoneInfo, re.Pattern, array.array, types.SimpleNamespace, types.GenericAlias),
    *(collections.deque, collections.OrderedDict, collections.defaultdict, functools.partial),
    *(operator.itemgetter, operator.attrgetter, operator.methodcaller),
}
"""Classes of C whose objects tell all that they are when they are pickled."""
_TELLING_NAMES = {
    *(("collections", "_tuplegetter"), ("_collections", "_tuplegetter")),
    ("builtins", "frozendict"),  # Python 3.15
}
_OF_NUMPY = {"ndarray", "dtype", "generic"}
_HEAP_TYPE = 1 << 9
_POINTER_BYTES = 8


def is_of_c(cls: type) -> bool:
    """Whether objects of the class may hold what they do not tell."""
    return not all(_tells(base) for base in cls.__mro__)


def _tells(cls: type) -> bool:
    if cls in _TELLING or (cls.__module__, cls.__qualname__) in _TELLING_NAMES:
        return True
    if cls.__module__ == "builtins" and issubclass(cls, BaseException):
        return True
    if cls.__module__.partition(".")[0] == "numpy" and any(
        base.__name__ in _OF_NUMPY for base in cls.__mro__
    ):
        return True
    return _is_of_python(cls)


def _is_of_python(cls: type) -> bool:
    """Whether a class statement has made it: its objects have attributes, and no more room than for these."""
    if not cls.__flags__ & _HEAP_TYPE or cls.__base__ is None:
        return False
    slots = vars(cls).get("__slots__", ())
    nr_slots = 1 if isinstance(slots, str) else len(tuple(slots))
    more = cls.__basicsize__ - cls.__base__.__basicsize__ - nr_slots * _POINTER_BYTES
    has_own = any(name in vars(cls) for name in ("__dict__", "__weakref__", "__slots__"))
    return more <= 0 or (has_own and more <= 2 * _POINTER_BYTES)


def reduced(obj: Any) -> list[Any]:
    """What would make it again, as pickle has it: a function with its arguments, a state, members."""
    registered = copyreg.dispatch_table.get(type(obj))
    parts: Any = obj.__reduce_ex__(4) if registered is None else registered(obj)
    if isinstance(parts, str):
        return [parts]
    function, arguments, *more = parts
    state, members, pairs = [*more, None, None, None][:3]
    return [function, arguments, state, list(members or ()), list(pairs or ())]
