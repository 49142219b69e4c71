"""What a node tells the others of itself."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

from disco_rq.machine.hashseed import HASH_SEED, has_hash_seed
from disco_rq.settings import rq_prefix
from disco_rq.version import PROTOCOL, __version__

__all__ = ["about_node"]


def about_node(data: Path, word: str) -> dict[str, str]:
    """This machine, and the node's data directory with the word that lies in it."""
    return {
        "host": socket.gethostname(),
        "data": str(data),
        "word": word,
        "python": platform.python_version(),
        "version": __version__,
        "protocol": str(PROTOCOL),
        "rq_prefix": rq_prefix(os.environ),
        "hash_seed": HASH_SEED if has_hash_seed() else "its own",
    }
