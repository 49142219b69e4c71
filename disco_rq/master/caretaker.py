"""What no event tells a master: dead workers and nodes, batches lost on the way, jobs that nobody can run."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence

from disco_rq.master.retention import Retention
from disco_rq.model import LEASE_S, RENEW_S
from disco_rq.planning.assignment import job_of_batch, rq_name
from disco_rq.planning.board import Board
from disco_rq.planning.stranded import crowded, stranded
from disco_rq.store.cluster import ClusterStore, JobSnapshot
from disco_rq.store.lead import Lead
from disco_rq.store.nodes import SUSPENDED
from disco_rq.store.queues import Queues
from disco_rq.store.taskstate import Lease, TaskState

log = logging.getLogger("disco_rq.caretaker")

QUEUE_PATIENCE_S = 5.0
"""A batch under way for longer is looked up in its queue: its worker may have died before the claim."""
SLOW_S = 1.0
"""Redis or this master stood still for so long: then the workers could not renew their leases either."""
DUTIES_EVERY_S = 0.5
"""About how often a master looks."""
CROWDED_S = 2.0
"""A job that has had no slot for so long is told why."""
CHECK_S = 5.0
"""How often the keys of the cluster are looked at: one of another type than ours keeps everybody waiting."""
CLEANING_S = 60.0
FORGETTING_S = 15.0
"""For how long RQ is searched for batches of a forgotten job: a worker may just be putting one away."""


class Caretaker:
    """Looks after the cluster for the leading master, a few times a second."""

    def __init__(
        self,
        store: ClusterStore,
        lead: Lead,
        queues: Queues,
        board: Board,
        jobs: Mapping[str, JobSnapshot],
        retention: Retention,
    ) -> None:
        self._store = store
        self._lead = lead
        self._queues = queues
        self._board = board
        self._jobs = jobs
        self._retention = retention
        self._run_id, uptime_s = store.server()
        # What ran out while the server was down, or full, or not the master yet, gets the time to be renewed.
        silent_s = min(uptime_s, store.silent_for_s())
        self._no_loss_before = time.monotonic() + max(0.0, LEASE_S + RENEW_S - silent_s)
        self._looked_at = time.monotonic()
        self._ahead_s = self._clock_ahead_s()
        self._stepped_until = -math.inf  # the server's clock was ahead of itself: leases have not run out
        self._cleaned_at = self._checked_at = 0.0
        self._to_clean: list[str] = []  # nodes
        self._clean_at_once = 0
        self._forgotten: dict[str, float] = {}  # job as RQ names it -> until when
        self._forgot_at = -math.inf  # when RQ was last searched for batches of such jobs
        self._closed: set[str] = set()  # nodes that said that they take no tasks
        self._suspended = False
        self._stranded: dict[str, str] = {}  # jobs that wait for a node, or a slot -> what they were told
        self._crowded_since: dict[str, float] = {}  # jobs that wait for a slot
        self._waiting: dict[str, str] | None = None  # what was told of all

    def look(self) -> bool:
        """Do what is due. False: another Redis server answers now, which may know less than we remember."""
        began = time.monotonic()
        run_id, _ = self._store.server()
        if run_id != self._run_id:
            return False
        self._look_at_clock()
        self.count_nodes()
        now = time.monotonic()
        if now - began > SLOW_S or began - self._looked_at > RENEW_S + SLOW_S:
            self._no_loss_before = now + LEASE_S
            log.warning("this master or Redis stood still: leases get time", extra={"action": "still"})
        self._looked_at = now
        self._expire_leases(only_told=now < max(self._no_loss_before, self._stepped_until))
        self._release_lost_batches()
        self._tell_stranded()
        self._forget_in_rq()
        self._retention.look()
        self._clean_registries(now)
        if now - self._checked_at > CHECK_S:
            self._checked_at = now
            self._lead.set_aside()
            self._waiting = None  # told again: a master that led before may have told something late
        return True

    def _look_at_clock(self) -> None:
        """The server's clock may be stepped, or another server has another one: no lease is shorter or much
        longer for it.
        """
        self._lead.take_back_leases(self._store.now_ms())
        ahead_s = self._clock_ahead_s()
        if abs(ahead_s - self._ahead_s) > SLOW_S:
            log.warning(
                "the clock of Redis was stepped by %+.0f s",
                ahead_s - self._ahead_s,
                extra={"action": "clock"},
            )
        if ahead_s - self._ahead_s > SLOW_S:
            self._stepped_until = time.monotonic() + LEASE_S
        self._ahead_s = ahead_s

    def _clock_ahead_s(self) -> float:
        """Of the server, against this process' own: what differs between two looks is a step."""
        return self._store.now_ms() / 1000 - time.monotonic()

    def count_nodes(self) -> None:
        """Note on the board which nodes are alive, with how many workers."""
        forget = time.monotonic() >= self._stepped_until
        slots = self._store.slots(self._store.now_ms(), forget=forget)
        told = self._store.told(list(slots))
        closed = self._store.closed() | told.apart
        self._suspended = self._queues.is_suspended()
        shut = {**dict.fromkeys(slots, SUSPENDED), **closed} if self._suspended else closed
        self._board.set_nodes(slots, *self._store.steered(), shut, told.labels)
        now = {node for node in closed if node in slots}
        for node in sorted(now ^ self._closed):
            if node in now:
                self._tell_all(f"Node {node} takes no tasks: {closed[node]}")
            elif node in slots:
                self._tell_all(f"Node {node} takes tasks again")
        self._closed = now

    def _clean_registries(self, now: float) -> None:
        """RQ's, of every node once in ``CLEANING_S``, each in its turn: it takes a millisecond or two."""
        if not self._to_clean and now - self._cleaned_at > CLEANING_S:
            self._cleaned_at, self._to_clean = now, list(self._board.nodes)
            self._clean_at_once = math.ceil(len(self._to_clean) * DUTIES_EVERY_S / CLEANING_S)
        for node in self._to_clean[: self._clean_at_once]:
            self._forget_failed(node, self._queues.clean(node))
        del self._to_clean[: self._clean_at_once]

    def _forget_failed(self, node: str, batch_ids: Sequence[str]) -> None:
        """Batches of workers that died: of jobs that are not there any more RQ need not keep them."""
        known = {rq_name(job) for job in self._store.known_jobs()} if batch_ids else set()
        for batch_id in batch_ids:
            if job_of_batch(batch_id) not in known:
                self._queues.forget_failed(node, batch_id)

    def _tell_all(self, line: str) -> None:
        log.warning("%s", line, extra={"action": "nodes"})
        for job in self._board.jobs:
            self._store.event(job, line)

    def forget(self, job: str) -> None:
        """A job was cleaned or purged: RQ need not remember it either. Of many, the others are looked for
        together.
        """
        now = time.monotonic()
        self._forgotten[rq_name(job)] = now + FORGETTING_S
        if now - self._forgot_at > DUTIES_EVERY_S:
            self._forget_in_rq()

    def _expire_leases(self, *, only_told: bool) -> None:
        """``only_told``: those alone whose nodes saw them end; others may not have been able to renew."""
        for lease, process_ended in self._store.expired_leases(self._store.now_ms()):
            if only_told and not process_ended:
                continue
            job, task, attempt = lease
            snapshot = self._jobs.get(job)
            if snapshot is None and job in self._store.active_jobs():
                continue  # submitted just now: its event comes
            survives = snapshot.spec.max_failures if snapshot else 0
            state = self._store.task_state(job, task, attempt)
            where = f"worker {state.worker} on node {state.node}" if state else "its worker"
            sign = "its process ended" if process_ended else f"it gave no sign of life for {LEASE_S:.0f} s"
            why = f"{where} was lost: {sign}"
            answer = self._lead.end_attempt(lease, state, "lost", why, survives=survives)
            if answer in ("overtaken", "unreadable"):
                self._lead.forget_lease(lease)
            if answer == "unreadable":
                self._leave_out(job)
            about = {"action": "expire", "job": job}
            log.warning("%s %s/%s: %s (%s)", job, task, attempt, why, answer, extra=about)

    def _release_lost_batches(self) -> None:
        """Hand back what is queued on nodes that are dead or closed, or lost its worker before the claim."""
        now = time.monotonic()
        unused, late = [], []
        for batch_id, batch in self._board.batches.items():
            node = self._board.nodes.get(batch.node)
            if node is None or not node.keeps_queue:
                unused.append(batch_id)
            elif not batch.is_claimed and now - batch.since_s >= QUEUE_PATIENCE_S:
                late.append(batch_id)
        queued = self._queues.waiting({self._board.batches[batch_id].node for batch_id in late})
        lost = [batch_id for batch_id in late if batch_id not in queued]
        for batch_id, states in self._states([*unused, *lost]).items():
            if batch_id not in self._board.batches:  # its job was left out
                continue
            batch = self._board.batches[batch_id]
            why = f"its place in the queue of node {batch.node} was lost"
            tasks = sorted(batch.open_tasks)
            if not self._release_queued(batch_id, states, why):
                continue
            if batch_id not in lost:
                self._queues.remove(batch.node, batch_id)
            elif tasks:
                more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
                told = (
                    f"{tasks[0]}{more} went out of the queue of node {batch.node} before any worker began, "
                    "as by 'rq empty', or with a worker that died: given out again"
                )
                self._store.event(batch.job, told)

    def hand_back(self, batch_id: str, why: str) -> None:
        """Let those tasks of a batch that nobody has claimed wait again, uncounted, and be it anywhere."""
        node = self._board.batches[batch_id].node
        if self._release_queued(batch_id, self._states([batch_id])[batch_id], why):
            self._queues.remove(node, batch_id)

    def _leave_out(self, job: str) -> None:
        """A job in whose records is something that nobody understands waits; the others go on."""
        self._board.remove_job(job)
        self._store.event(job, "The master cannot read a record of this job, and leaves it alone: it waits")

    def _states(self, batch_ids: Sequence[str]) -> dict[str, list[TaskState | None]]:
        """Of each batch the states of its attempts, in the order of its open tasks; None: it is another's."""
        asked = [
            (batch_id, self._board.batches[batch_id].job, task)
            for batch_id in batch_ids
            for task in sorted(self._board.batches[batch_id].open_tasks)
        ]
        found = self._store.states([(job, task) for _, job, task in asked])
        answer: dict[str, list[TaskState | None]] = {batch_id: [] for batch_id in batch_ids}
        for (batch_id, _, _), states in zip(asked, found, strict=True):
            answer[batch_id].append(next((one for one in states if one and one.batch == batch_id), None))
        return answer

    def _release_queued(self, batch_id: str, states: Sequence[TaskState | None], why: str) -> bool:
        """Let those tasks of a batch that nobody has claimed wait again, uncounted. True: all of them."""
        batch = self._board.batches[batch_id]
        is_claimed = batch.is_claimed
        for task, state in zip(sorted(batch.open_tasks), states, strict=True):
            if state is not None and state.state == "queued":
                lease = Lease(batch.job, task, state.attempt)
                answer = self._lead.end_attempt(lease, state, "release", why)
                about = {"action": "release", "job": batch.job}
                log.warning("%s %s: %s (%s)", batch.job, task, why, answer, extra=about)
                # A worker, or another master, was faster.
                is_claimed |= answer in ("overtaken", "notleader")
                if answer == "unreadable":
                    self._leave_out(batch.job)
                    return True
            else:
                is_claimed = True
        if is_claimed:
            self._board.batch_claimed(batch_id)
        return not is_claimed

    def _tell_stranded(self) -> None:
        """A job that waits for a node says so in its history, and says when one has come."""
        waiting = dict.fromkeys(self._board.jobs, SUSPENDED) if self._suspended else stranded(self._board)
        waiting = self._crowded() | waiting
        for job in (self._stranded.keys() - waiting.keys()) & self._board.jobs.keys():
            what = (
                "RQ is not suspended any more"
                if self._stranded[job] == SUSPENDED
                else "A slot is there again"
                if "(DISCO_RQ_" in self._stranded[job]
                else "A node is there again"
            )
            self._store.event(job, f"{what}: the job goes on")
        for job, why in waiting.items():
            if self._stranded.get(job) != why:  # new, or it waits for something else now
                self._store.event(job, why)
        self._stranded = waiting
        if self._waiting != waiting:
            self._lead.tell_waiting(waiting)
            self._waiting = waiting

    def _crowded(self) -> dict[str, str]:
        """Those that have waited for a slot for some time: one that has its turn at once is no news."""
        now, crowd = time.monotonic(), crowded(self._board)
        self._crowded_since = {job: self._crowded_since.get(job, now) for job in crowd}
        return {job: why for job, why in crowd.items() if now - self._crowded_since[job] >= CROWDED_S}

    def _forget_in_rq(self) -> None:
        """Delete what RQ keeps of forgotten jobs: batches that are through, and those that end now."""
        now = time.monotonic()
        self._forgotten = {job: until for job, until in self._forgotten.items() if until > now}
        if self._forgotten:
            self._forgot_at = now
            self._queues.forget(
                self._store.nodes(), lambda batch_id: job_of_batch(batch_id) in self._forgotten
            )
