"""Which attempt a horse runs is noted beside what it prints, and who asks gets the end of that."""

from __future__ import annotations

from pathlib import Path

from disco_rq.model import TaskId
from disco_rq.outputs.datadir import Scratch
from disco_rq.outputs.underway import TAIL_BYTES, end_of_log
from disco_rq.worker.horse import Progress
from disco_rq.worker.underway import NOTED_AFTER_LOOKS, Underway

JOB = "job@20260101-000000-aaaa"
TASKS = [(TaskId("map", 3), 1), (TaskId("map", 4), 2)]


def test_the_log_of_an_attempt_is_told_while_that_one_runs_and_has_for_a_while(tmp_path: Path) -> None:
    scratch, progress = Scratch(tmp_path / "n1.0-00000a.17"), Progress()
    underway = Underway(scratch.now, JOB, TASKS, progress)
    scratch.log.write_bytes(b"x" * TAIL_BYTES + b"the end")

    told = []
    for index in (0, 1):
        progress.begin(index)
        for _ in range(NOTED_AFTER_LOOKS):
            told.append([end_of_log(tmp_path, JOB, name)[-7:] for name in ("map-3.1", "map-4.2")])
            underway.look()
        told.append([end_of_log(tmp_path, JOB, name)[-7:] for name in ("map-3.1", "map-4.2")])
    underway.end()

    nothing = [b"", b""]
    shortly = [nothing] * NOTED_AFTER_LOOKS
    # A look is taken before the first one of the two is found to have ended.
    after = [[b"the end", b""], *[nothing] * (NOTED_AFTER_LOOKS - 1)]
    assert told == [*shortly, [b"the end", b""], *after, [b"", b"the end"]]
    assert end_of_log(tmp_path, JOB, "map-4.2") == b""


def test_a_link_beside_it_leads_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere"
    secret.write_text("secret")
    (tmp_path / "n1.0-00000a.17.now").write_text(f"{JOB} map-0.1")
    (tmp_path / "n1.0-00000a.17.log").symlink_to(secret)

    assert end_of_log(tmp_path, JOB, "map-0.1") == b""
