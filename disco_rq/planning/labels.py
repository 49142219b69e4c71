"""Labels: what a node has beside its slots, as ``gpu`` or ``ram=64``, and what tasks need of that. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

__all__ = [
    *("Labels", "check_needs", "fits", "labels_of", "missing", "needs_by_phase", "parse_labels"),
    "told_needs",
]

Labels: TypeAlias = Mapping[str, bool | float | str]
"""A label without a value is True."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_VALUE = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
MOST = 50
PHASES = ("map", "reduce")


def parse_labels(text: str) -> Labels:
    """``gpu,ram=64,zone=eu-1``, separated by commas or blanks. ``ValueError`` names what is no label."""
    labels: dict[str, bool | float | str] = {}
    for entry in text.replace(",", " ").split():
        name, equals, value = entry.partition("=")
        if not _NAME.fullmatch(name) or (equals and not _VALUE.fullmatch(value)):
            raise ValueError(f"{entry!r} is no label, such as gpu, ram=64 or zone=eu-1")
        if name in PHASES:
            raise ValueError(f"{entry!r} is no label that a job can need: in its needs {name} is a phase")
        if name in labels:
            raise ValueError(f"{entry!r}: {name} is named twice")
        labels[name] = _value(value) if equals else True
    if len(labels) > MOST:
        raise ValueError(f"{len(labels)} labels are more than {MOST}")
    return labels


def labels_of(record: str | bytes) -> Labels:
    """Those that a node has told, as JSON. ``ValueError`` for what is none."""
    told = json.loads(record)
    if not isinstance(told, dict) or not all(_is_need(value) for value in told.values()):
        raise ValueError("it is no dict of labels")
    return told


def check_needs(needs: Any) -> str:
    """What is wrong with the ``needs`` of a job; empty if nothing is."""
    if not isinstance(needs, Mapping):
        return "it is no dict"
    for phase in PHASES:
        if phase in needs and not isinstance(needs[phase], Mapping):
            given = needs[phase]
            label = given if isinstance(given, str) and _NAME.fullmatch(given) else "gpu"
            return f'{phase}: {given!r} is no dict of labels: write {{"{phase}": {{"{label}": True}}}}'
    nested = [name for name, value in needs.items() if isinstance(value, Mapping)]
    if nested and (len(nested) < len(needs) or not set(nested) <= set(PHASES)):
        return "it has labels, or a dict of labels for map and reduce each"
    for part in needs.values() if nested else [needs]:
        for name, value in part.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                return f"{name!r} is no name of a label"
            if not _is_need(value):
                return f"{name}: {value!r} is no True, number or str"
    return ""


def needs_by_phase(needs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of the maps and of the reduces, of needs that ``check_needs`` accepts."""
    if any(isinstance(value, Mapping) for value in needs.values()):
        return {phase: dict(needs[phase]) for phase in PHASES if needs.get(phase)}
    return {phase: dict(needs) for phase in PHASES} if needs else {}


def fits(labels: Labels, needs: Labels) -> bool:
    """Whether a node has all of it: a number at least, a text exactly, True at all."""
    return all(_has(labels.get(name), needed) for name, needed in needs.items())


def missing(nodes: Iterable[Labels], needs: Labels) -> str:
    """What none of the nodes has, or else what they do not have together: ``gpu, ram >= 64, zone = eu-1``."""
    there = list(nodes)
    lacks = {name for name, need in needs.items() if not any(_has(one.get(name), need) for one in there)}
    return ", ".join(
        _told(name, need, [one[name] for one in there if name in one])
        for name, need in needs.items()
        if name in lacks or not lacks
    )


def told_needs(needs: Labels) -> str:
    """All of them, in the order of their names: ``gpu, ram >= 64``; empty if any node will do."""
    return ", ".join(_told(name, need) for name, need in sorted(needs.items()))


def _told(name: str, needed: bool | float | str, there: Iterable[bool | float | str] = ()) -> str:
    if needed is True:
        return name
    if isinstance(needed, str):
        return f"{name} = {needed}"
    texts = sorted({value for value in there if isinstance(value, str) and value == _number(value)})
    return f"{name} >= {needed:g}" + (f" ({', '.join(texts)} is no number)" if texts else "")


def _has(there: bool | float | str | None, needed: bool | float | str) -> bool:
    if there is None or there is False:
        return False
    if needed is True:
        return True
    if isinstance(needed, str):
        return _text(there) == needed
    number = _number(there) if isinstance(there, str) else there
    return not isinstance(number, bool | str) and number >= needed


def _value(text: str) -> float | str:
    """A number that is written otherwise than we do, such as 007, stays a text: jobs may need just that."""
    number = _number(text)
    return number if _text(number) == text else text


def _number(text: str) -> float | str:
    """What the text says, or the text where that is no number."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _text(value: bool | float | str) -> str:
    """As people write it: 64 for 64.0."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _is_need(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_VALUE.fullmatch(value))
    return value is True or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )
