"""The start of a command."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.measured import Measured

COMMAND = Path(sys.executable).parent / "disco-rq"


def run_help(runner: Any, given: dict[str, Any]) -> Measured:
    """``disco-rq --help``."""
    return _median([str(COMMAND), "--help"], given["times"])


def run_python(runner: Any, given: dict[str, Any]) -> Measured:
    """Python that does nothing."""
    return _median([sys.executable, "-c", "pass"], given["times"])


def _median(command: list[str], times: int) -> Measured:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return Measured("", statistics.median(taken))
