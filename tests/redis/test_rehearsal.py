"""What a fresh horse does before anybody waits for it: all of it works, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

from disco_rq.attempt.place import Place
from disco_rq.inputs import open_input
from disco_rq.model import TaskId
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import Locator
from disco_rq.store.attempts import AttemptStore
from disco_rq.store.connection import Connection
from disco_rq.worker.finished import Finished
from disco_rq.worker.horse import Fitness, Horse, Progress, Rehearsed
from disco_rq.worker.rehearsal import rehearse, rehearse_ahead, rehearsed_pack
from tests.cluster.conftest import wait_until

BATCH = ("job", "batch", [(TaskId("map", 0), 1)])


def test_it_goes_through_and_leaves_nothing_in_redis(connection: Connection, tmp_path: Path) -> None:
    connection.redis.set("something", "else")

    rehearse(open_input, AttemptStore(connection), tmp_path)

    assert connection.redis.keys() == [b"something"]


def test_a_worker_rehearses_before_it_forks_and_leaves_nothing(
    connection: Connection, tmp_path: Path
) -> None:
    data = DataDir(tmp_path / "data")
    data.prepare()
    scratch = data.scratch("worker", 1)
    locator = Locator(lambda _: {}, own=("node", data.root))

    rehearse_ahead(AttemptStore(connection), Place("node", data, scratch, locator))

    assert connection.redis.keys() == []
    assert list((data.root / "tmp").iterdir()) == []


def test_a_rehearsal_that_cannot_be_is_left_out(connection: Connection, tmp_path: Path) -> None:
    data = DataDir(tmp_path / "data")
    (tmp_path / "data").write_text("no directory")
    locator = Locator(lambda _: {}, own=("node", data.root))

    rehearse_ahead(AttemptStore(connection), Place("node", data, data.scratch("worker", 1), locator))


def test_its_functions_are_packed_once_for_all_horses() -> None:
    assert rehearsed_pack() is rehearsed_pack()


def _noted(log: Path) -> Rehearsed:
    def note(word: str) -> None:
        with log.open("a") as file:
            file.write(word)

    def run(*_: object) -> Fitness:
        note("batch ")
        return Fitness.DONE

    return run, (lambda: note("rehearsal "))


def test_a_horse_rehearses_before_its_first_batch_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    horse = Horse(lambda: _noted(log), Progress(), Finished())
    try:
        wait_until(log.exists)
        for _ in range(2):
            horse.start(*BATCH)
            assert horse.wait() == 0
            horse.settle()
    finally:
        horse.bury()

    assert log.read_text() == "rehearsal batch batch "


def test_a_horse_for_which_a_batch_waits_does_not_rehearse(tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"

    def begun() -> Rehearsed:
        wait_until(gate.exists)
        return _noted(log)

    horse = Horse(begun, Progress(), Finished())
    try:
        horse.start(*BATCH)
        gate.touch()
        assert horse.wait() == 0
    finally:
        horse.bury()

    assert log.read_text() == "batch "
