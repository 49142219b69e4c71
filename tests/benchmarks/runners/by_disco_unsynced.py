"""disco-rq that takes the system's word for what it writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from disco_rq import Disco
from disco_rq.settings import PREFIX
from tests.benchmarks.runners import by_disco

VARIABLE = f"{PREFIX}FSYNC"


@contextmanager
def started() -> Iterator[Disco]:
    """That has run something. The process is this runner's: its environment stays so."""
    os.environ[VARIABLE] = "off"
    with by_disco.started() as disco:
        yield disco
