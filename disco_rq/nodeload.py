"""How busy this machine is, as a node tells it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil


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
