"""One hash seed for all processes that run job functions, so that ``hash()`` of a str is the same in all.

Python takes a seed of its own in every process otherwise. A partition function that calls ``hash()`` would
then send one key to several reduces.
"""

from __future__ import annotations

import os
import sys

__all__ = ["HASH_SEED", "NAME", "has_hash_seed", "start_again_with_hash_seed"]

NAME = "PYTHONHASHSEED"
HASH_SEED = "0"


def has_hash_seed() -> bool:
    """Whether this process began with the seed that all of ours have."""
    return not sys.flags.hash_randomization


def start_again_with_hash_seed() -> None:
    """Become the same program with the seed, if this is not it: Python asks for it at its very start."""
    if has_hash_seed() or os.environ.get(NAME) == HASH_SEED:  # the latter: told to ignore it, python -I
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, NAME: HASH_SEED})
