"""What is kept of what a task printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from disco_rq.attempt.log import GROWTH_CAP, LOG_CAP, cut_short, keep_capped, salvage


def kept_of(log: Path, into: Path) -> bytes:
    salvage(log, into)
    return into.read_bytes()


def test_a_short_log_is_kept_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\n")

    assert cut_short(log, 0) == 0
    assert kept_of(log, tmp_path / "kept") == b"one\ntwo\n"


def test_of_a_long_log_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"x" * LOG_CAP + b"\nlast\n")

    with log.open("rb") as file:
        keep_capped(file.fileno(), log.stat().st_size, tmp_path / "kept")

    kept = (tmp_path / "kept").read_bytes()
    assert len(kept) <= LOG_CAP
    assert kept.startswith(b"first\n")
    assert kept.endswith(b"\nlast\n")
    assert b"\n... 12 bytes left out ...\n" in kept


def test_a_log_that_grows_and_grows_is_cut_each_time_and_says_how_much_is_gone(tmp_path: Path) -> None:
    log, left_out = tmp_path / "log", 0
    written = 0

    for _ in range(3):
        with log.open("ab") as file:
            written += file.write(b"y" * (GROWTH_CAP + 1))
        left_out = cut_short(log, left_out)
        assert log.stat().st_size < LOG_CAP

    with log.open("ab") as file:
        file.write(b"\nlast\n")
    kept = kept_of(log, tmp_path / "kept")
    assert b"bytes left out while it was written" in kept
    assert kept.endswith(b"\nlast\n")
    assert f"\n... {left_out} bytes left out".encode() in kept
    assert left_out > 0.99 * written


def test_a_log_that_nobody_wrote_is_none(tmp_path: Path) -> None:
    salvage(tmp_path / "log", tmp_path / "kept")

    assert not list(tmp_path.iterdir())


LOGS = """
import logging, sys
from pathlib import Path
from disco_rq.attempt.log import AttemptLog

logging.basicConfig(level=logging.INFO, format="at noon: %(message)s")
AttemptLog(Path(sys.argv[1])).capture()
logging.getLogger("disco_rq.execution").warning("ours")
logging.getLogger("app").warning("the user's")
print("printed")
"""


def test_our_own_lines_go_on_as_the_node_writes_them_and_the_tasks_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"

    node = subprocess.run([sys.executable, "-c", LOGS, str(log)], capture_output=True, text=True, check=True)

    assert (node.stdout, node.stderr) == ("", "at noon: ours\n")
    assert log.read_text() == "WARNING app: the user's\nprinted\n"
