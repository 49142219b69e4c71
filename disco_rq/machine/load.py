"""How busy this machine is, as a node tells it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

MIN_FREE_BYTES = 256 << 20
MIN_FREE_SHARE = 0.05


def disk_room(data: Path, least: int | None) -> tuple[int, int]:
    """Bytes that are free on the disk that holds ``data``, and with how many less a node takes no tasks.

    ``least`` None: 256 MiB, or 5 % of a disk for which that is much.
    """
    disk = shutil.disk_usage(data)
    return disk.free, min(MIN_FREE_BYTES, int(disk.total * MIN_FREE_SHARE)) if least is None else least


def node_load(data: Path) -> dict[str, int | float]:
    """Bytes of memory, and of the disk that holds ``data``, in all and free; processes that want a core."""
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(data)
    return {
        "memory_total": memory.total,
        "memory_free": memory.available,
        "disk_total": disk.total,
        "disk_free": disk.free,
        "load": round(os.getloadavg()[0], 2),
    }
