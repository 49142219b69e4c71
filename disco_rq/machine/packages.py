"""The packages that are installed where this process runs: a node tells them, a client compares.

A node reads names of directories only: the metadata of each distribution would take a hundred times as long.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["distribution_of", "installed", "same_line"]

_PLACES = ("site-packages", "dist-packages")
_DISTRIBUTION = re.compile(r"(.+?)-([^-]+)(?:-py[\d.]+(?:-[^-]+)?)?\.(?:dist|egg)-info")


def installed() -> dict[str, str]:
    """Top-level modules as ``""``, and distributions by their normalised names with their versions.

    ``{"yaml": "", "pyyaml": "6.0.2", "numpy": "2.1.0"}``: a distribution stands for a module of its name.
    """
    found: dict[str, str] = {}
    for place in reversed(sys.path):  # the first one wins
        if Path(place).name not in _PLACES:
            continue
        try:
            names = os.listdir(place)  # noqa: PTH208  names are all that is wanted
        except OSError:
            continue
        for name in sorted(filter(_is_text, names)):
            if distribution := _DISTRIBUTION.fullmatch(name):
                found[_normalised(distribution[1])] = distribution[2]
            elif name.endswith((".py", ".so")) or "." not in name:
                module = name.partition(".")[0]
                if module.isidentifier() and module != "__pycache__":
                    found.setdefault(module, "")
    return found


def _is_text(name: str) -> bool:
    """Whether it can be told: a file name need not be UTF-8, and what is not no program can import."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def distribution_of(module: str) -> tuple[str, str] | None:
    """The distribution, and its version, that brought a top-level module here; None if that is not known."""
    try:
        return _normalised(module), metadata.version(module)
    except metadata.PackageNotFoundError:
        pass
    names = sorted(set(_distributions().get(module, ())))
    if len(names) != 1:  # a namespace that several share
        return None
    return _normalised(names[0]), metadata.version(names[0])


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def same_line(version: str, other: str) -> bool:
    """Whether two versions promise to be compatible: the same major, or of 0.x the same minor."""
    return _line(version) == _line(other)


def _line(version: str) -> list[str]:
    parts = re.findall(r"\d+", version)
    return parts[:2] if parts[:1] == ["0"] else parts[:1]
