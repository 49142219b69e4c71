"""A worker's horses: the one at hand, a spare one, and the former one, which ends when there is time."""

from __future__ import annotations

from collections.abc import Callable, Collection

from disco_rq.machine.orphans import end_orphans
from disco_rq.outputs.datadir import DataDir
from disco_rq.store.connection import Connection
from disco_rq.worker.finished import Finished
from disco_rq.worker.horse import Horse, Progress, Rehearsed

__all__ = ["Stable"]


class Stable:
    """Forks horses ahead of time, and ends them when nobody waits for that. For the worker's main thread."""

    def __init__(
        self,
        data: DataDir,
        worker: str,
        *,
        connect: Callable[[], Connection],
        enter: Callable[[Connection, Progress, Finished], Rehearsed],
        others: Callable[[], Collection[int]],
    ) -> None:
        """``enter`` is called in each new horse, with the connection that it was given. ``others``: children
        of this process that are no horses, and stay.
        """
        self._data = data
        self._worker = worker
        self._connect = connect
        self._enter = enter
        self._others = others
        self._current: Horse | None = None
        self._spare: Horse | None = None
        self._former: Horse | None = None
        self._connection: Connection | None = None  # a new line of which is each horse's

    def horse_for(self, job: str) -> Horse:
        """A horse bound to this disco job: the one at hand if it is, else a fresh one."""
        if self._current is not None:
            if self._current.job == job and self._current.is_alive():
                return self._current
            self.dismiss()
        self._bury_dead_spare()
        horse, self._spare = self._spare or self._new(), None
        horse.job = job
        self._current = horse
        return horse

    def dismiss(self) -> None:
        """The horse at hand is not used again. It ends when there is time: that takes milliseconds."""
        self._retire_former()
        self._former, self._current = self._current, None

    def end(self) -> None:
        """The horse at hand ends now, and with it all that its tasks have left: nobody is to meet that."""
        self.dismiss()
        self._retire_former()

    @property
    def is_empty(self) -> bool:
        """Whether there is no horse for the next batch, whatever its job."""
        return self._current is None and self._spare is None

    def is_tidy(self) -> bool:
        """Whether ``tidy`` has nothing to do."""
        return self._former is None and self._spare is not None and self._spare.is_alive()

    def tidy(self) -> None:
        """End the former horse, and fork a spare one."""
        if self._former is not None:
            self._former.kill()  # and while it ends:
        self._bury_dead_spare()
        if self._spare is None:
            self._spare = self._new()
        self._retire_former()

    def close(self) -> None:
        """End all horses."""
        for horse in (self._current, self._spare, self._former):
            if horse is not None:
                self._retire(horse)

    def _new(self) -> Horse:
        progress, finished = Progress(), Finished()
        # Connected here, used there: what a forked process touches first costs it several times as much.
        connection = self._connection = self._connection or self._connect()
        connection.line.open()
        horse = Horse(lambda: self._enter(connection, progress, finished), progress, finished)
        connection.line.give_away()
        return horse

    def _bury_dead_spare(self) -> None:
        """A horse that was killed while it waited must not get a batch: nobody would claim its tasks."""
        if self._spare is not None and not self._spare.is_alive():
            dead, self._spare = self._spare, None
            self._retire(dead)

    def _retire_former(self) -> None:
        former, self._former = self._former, None
        if former is not None:
            self._retire(former)

    def _retire(self, horse: Horse) -> None:
        """End a horse and all that its tasks have started, and delete its scratch files."""
        horse.bury()
        horse.finished.close()
        kept = (self._current, self._spare, self._former)
        ours = {one.pid for one in kept if one is not None and one is not horse}
        end_orphans(spare=ours.union(self._others()))
        self._data.scratch(self._worker, horse.pid).remove()
