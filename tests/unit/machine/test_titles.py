"""A process says what it is to ``ps``."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from pathlib import Path
from disco_rq.machine.titles import tell_title
tell_title("worker n1.0")
print(Path("/proc/self/cmdline").read_text().strip("\\0"))
print(b"IN_ENVIRON" in Path("/proc/self/environ").read_bytes())
"""


def shown(**environment: str) -> list[str]:
    program = [sys.executable, "-c", PROGRAM]
    environment = {**os.environ, "IN_ENVIRON": "1", **environment}
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_a_process_shows_what_it_does_in_place_of_its_arguments() -> None:
    assert shown()[0] == "disco-rq: worker n1.0"


def test_its_environment_can_be_left_to_be_looked_at() -> None:
    assert shown(SPT_NOENV="1") == ["disco-rq: worker n1.0", "True"]
