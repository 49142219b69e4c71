"""The short form of ``make soak``: it runs, checks, measures, and cleans up when it is stopped."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

from tests.nodes import REPOSITORY


@pytest.mark.long
def test_a_soak_that_is_stopped_prints_what_it_has_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "tests.soak", "--minutes", "5", "--seed", "7"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as soak:
        assert soak.stdout is not None
        assert soak.stdout.readline() == "5 minutes, seed 7\n"
        assert soak.stdout.readline() == "the cluster runs\n"
        time.sleep(12)  # some jobs, and a death perhaps
        soak.send_signal(signal.SIGINT)
        told = soak.stdout.read()

    assert soak.returncode == 0, told
    found = re.search(r"^(\d+) jobs, 0 wrong, 0 figures grow", told, re.MULTILINE)
    assert found is not None, told
    assert int(found[1]) > 0
    assert "count_words" in told
