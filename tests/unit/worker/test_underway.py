"""Which attempt a horse runs, and how far it is, is noted beside what it prints, for who asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from disco_rq.model import TaskId
from disco_rq.outputs.datadir import Scratch
from disco_rq.outputs.underway import TAIL_BYTES, SoFar, so_far, write_note
from disco_rq.worker.horse import Progress
from disco_rq.worker.underway import NOTED_AFTER_LOOKS, NOTED_EACH_LOOKS, Underway

JOB = "job@20260101-000000-aaaa"
TASKS = [(TaskId("map", 3), 1), (TaskId("map", 4), 2)]


def test_an_attempt_is_told_of_while_that_one_runs_and_has_for_a_while(tmp_path: Path) -> None:
    scratch, progress = Scratch(tmp_path / "n1.0-00000a.17"), Progress()
    underway = Underway(scratch.now, JOB, TASKS, progress)
    scratch.log.write_bytes(b"x" * TAIL_BYTES + b"the end")

    told = []
    for index in (0, 1):
        progress.begin(index)
        for _ in range(NOTED_AFTER_LOOKS):
            told.append([so_far(tmp_path, JOB, name).log[-7:] for name in ("map-3.1", "map-4.2")])
            underway.look()
        told.append([so_far(tmp_path, JOB, name).log[-7:] for name in ("map-3.1", "map-4.2")])
    underway.end()

    nothing = [b"", b""]
    shortly = [nothing] * NOTED_AFTER_LOOKS
    # A look is taken before the first one of the two is found to have ended.
    after = [[b"the end", b""], *[nothing] * (NOTED_AFTER_LOOKS - 1)]
    assert told == [*shortly, [b"the end", b""], *after, [b"", b"the end"]]
    assert so_far(tmp_path, JOB, "map-4.2") == SoFar(b"", None)


def test_its_entries_are_those_that_it_has_told_and_never_of_the_one_before(tmp_path: Path) -> None:
    scratch, progress = Scratch(tmp_path / "n1.0-00000a.17"), Progress()
    underway = Underway(scratch.now, JOB, TASKS, progress)
    scratch.log.touch()
    told = []
    for index, name in enumerate(("map-3.1", "map-4.2")):
        progress.begin(index)
        for nr_entries in (0, 9, 10**18):
            progress.tell_entries(nr_entries)
            for _ in range(max(NOTED_AFTER_LOOKS, NOTED_EACH_LOOKS)):
                underway.look()
            told.append(so_far(tmp_path, JOB, name).nr_entries)

    assert told == [0, 9, 10**18] * 2


def test_what_has_ended_is_not_noted_by_a_look_that_comes_late(tmp_path: Path) -> None:
    scratch, progress = Scratch(tmp_path / "n1.0-00000a.17"), Progress()
    underway = Underway(scratch.now, JOB, TASKS, progress)
    for _ in range(NOTED_AFTER_LOOKS):
        underway.look()
    assert scratch.now.exists()

    underway.end()
    for nr_entries in range(NOTED_AFTER_LOOKS + NOTED_EACH_LOOKS):
        progress.tell_entries(nr_entries)
        underway.look()

    assert not scratch.now.exists()


@pytest.mark.parametrize("note", [b"", b"%b map-0.1", b"%b map-0.1 7", b"%b map-0.1 -000000000000000007"])
def test_a_note_of_another_kind_tells_nothing(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "n1.0-00000a.17.now").write_bytes(note.replace(b"%b", JOB.encode()))
    (tmp_path / "n1.0-00000a.17.log").write_text("printed")

    assert so_far(tmp_path, JOB, "map-0.1") == SoFar()


def test_a_link_beside_it_leads_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere"
    secret.write_text("secret")
    write_note(tmp_path / "n1.0-00000a.17.now", JOB, "map-0.1", 7)
    (tmp_path / "n1.0-00000a.17.log").symlink_to(secret)

    assert so_far(tmp_path, JOB, "map-0.1") == SoFar()
    (tmp_path / "n1.0-00000a.18.now").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic"):
        write_note(tmp_path / "n1.0-00000a.18.now", JOB, "map-0.1", 8)
    assert secret.read_text() == "secret"
