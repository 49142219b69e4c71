"""Whether a series of figures grows: the medians of its first and its last quarter are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Allowed:
    """What a figure may be more at the end than at the beginning."""

    share: float  # of what it was
    more: float  # and this, in its unit
    spared: bool = False  # it begins anew with a master or Redis, so it is looked at where these live on


MB = 1 << 20
MEMORY = Allowed(0.05, 2 * MB)
HEAD = Allowed(0.05, 2 * MB, spared=True)
COUNT = Allowed(0.02, 3)
CONNECTIONS = Allowed(0.10, 5, spared=True)
"""Who waits makes those that Redis dropped when it died again only when it needs them."""
LIMITS: Mapping[str, Allowed] = {
    "Redis keys": Allowed(0.05, 10),
    "Redis memory": Allowed(0.05, MB // 4),
    "Redis clients": CONNECTIONS,
    "files": Allowed(0.02, 5),
    "processes": COUNT,
    "threads": COUNT,
    "open files": CONNECTIONS,
    "master memory": HEAD,
    "master open files": Allowed(0.02, 3, spared=True),
    "master threads": Allowed(0.02, 3, spared=True),
    "node memory": MEMORY,
    "node open files": COUNT,
    "data server memory": MEMORY,
    "data server open files": COUNT,
    "worker memory": MEMORY,
    "worker open files": COUNT,
    "Redis process memory": HEAD,
    "client memory": MEMORY,
    "client open files": COUNT,
}
"""Each figure that is followed, and by how much it may be more in the end."""
FEWEST = 8
"""So many samples are needed to tell."""


@dataclass(frozen=True)
class Trend:
    """How a figure went."""

    name: str
    first: float  # median of the first quarter
    last: float  # median of the last quarter
    most: float  # that the latter may be

    @property
    def grows(self) -> bool:
        return self.last > self.most

    def row(self) -> tuple[str, str, str, str, str]:
        shown = [_shown(self.name, figure) for figure in (self.first, self.last, self.most)]
        return self.name, *shown, "GROWS" if self.grows else "ok"  # type: ignore[return-value]


def trends(samples: Sequence[Mapping[str, float]], warm: int, spared: int) -> list[Trend]:
    """The trend of each figure. ``warm``, ``spared``: the first sample that counts, and that where no master
    and no Redis dies any more. What has too few samples is left out.
    """
    found = []
    for name, allowed in LIMITS.items():
        figures = [sample[name] for sample in samples[spared if allowed.spared else warm :] if name in sample]
        if len(figures) >= FEWEST:
            quarter = len(figures) // 4
            first, last = median(figures[:quarter]), median(figures[-quarter:])
            found.append(Trend(name, first, last, first * (1 + allowed.share) + allowed.more))
    return found


def _shown(name: str, figure: float) -> str:
    return f"{figure / MB:.1f} MB" if "memory" in name else f"{figure:.0f}"
