"""What no event tells a master: dead workers and nodes, batches lost on the way, jobs that nobody can run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from redis import Redis
from rq import Queue
from rq.registry import clean_registries

from disco_rq import keys
from disco_rq.model import LEASE_S, RENEW_S
from disco_rq.packing import Serializer
from disco_rq.planner import Batch, Planner, job_of_batch, rq_name
from disco_rq.retention import Retention
from disco_rq.rqrecords import delete_batch
from disco_rq.store.cluster import ClusterStore, JobSnapshot

log = logging.getLogger("disco_rq.caretaker")

QUEUE_PATIENCE_S = 5.0
"""A batch under way for longer is looked up in its queue: its worker may have died before the claim."""
SLOW_S = 1.0
"""Redis or this master stood still for so long: then the workers could not renew their leases either."""
CLEANING_S = 60.0
FORGETTING_S = 15.0
"""For how long RQ is searched for batches of a forgotten job: a worker may just be putting one away."""


def node_queue(redis: Redis, node: str) -> Queue:
    """The RQ queue of a node, with our serializer."""
    return Queue(keys.queue(node), connection=redis, serializer=Serializer)


class Caretaker:
    """Looks after the cluster for the leading master, a few times a second."""

    def __init__(
        self,
        redis: Redis,
        store: ClusterStore,
        planner: Planner,
        jobs: Mapping[str, JobSnapshot],
        retention: Retention,
    ) -> None:
        self._redis = redis
        self._store = store
        self._planner = planner
        self._jobs = jobs
        self._retention = retention
        self._run_id, uptime_s = store.server()
        # What ran out while the server was down gets the time to be renewed.
        silent_s = min(uptime_s, store.full_for_s())  # a full server refuses to renew them, too
        self._no_loss_before = time.monotonic() + max(0.0, LEASE_S + RENEW_S - silent_s)
        self._looked_at = time.monotonic()
        self._cleaned_at = 0.0
        self._forgotten: dict[str, float] = {}  # job as RQ names it -> until when
        self._closed: set[str] = set()  # nodes that said that they take no tasks
        self._stranded: dict[str, str] = {}  # jobs that wait for a node -> what they were told

    def look(self) -> bool:
        """Do what is due. False: another Redis server answers now, which may know less than we remember."""
        began = time.monotonic()
        run_id, _ = self._store.server()
        if run_id != self._run_id:
            return False
        self.count_nodes()
        now = time.monotonic()
        if now - began > SLOW_S or began - self._looked_at > RENEW_S + SLOW_S:
            self._no_loss_before = now + LEASE_S
            log.warning("this master or Redis stood still: leases get time", extra={"action": "still"})
        self._looked_at = now
        if now >= self._no_loss_before:
            self._expire_leases()
        self._release_lost_batches()
        self._tell_stranded()
        self._forget_in_rq()
        self._retention.look()
        if now - self._cleaned_at > CLEANING_S:
            self._cleaned_at = now
            self._clean_registries()
        return True

    def _clean_registries(self) -> None:
        """Let RQ notice workers that died; of jobs that are not there any more it need not keep that."""
        known = {rq_name(job) for job in self._store.known_jobs()}
        for node in self._planner.nodes:
            queue = node_queue(self._redis, node)
            clean_registries(queue)
            failed = queue.failed_job_registry
            for batch_id in failed.get_job_ids(cleanup=False):
                if job_of_batch(batch_id) not in known:
                    failed.remove(batch_id)
                    delete_batch(self._redis, batch_id)

    def count_nodes(self) -> None:
        """Tell the planner which nodes are alive, with how many workers."""
        slots = self._store.slots(self._store.now_ms())
        closed = self._store.closed()
        self._planner.set_nodes(slots, self._store.blacklist(), self._store.draining(), closed)
        now = {node for node in closed if node in slots}
        for node in sorted(now ^ self._closed):
            if node in now:
                self._tell_all(f"Node {node} takes no tasks: {closed[node]}")
            elif node in slots:
                self._tell_all(f"Node {node} takes tasks again")
        self._closed = now

    def _tell_all(self, line: str) -> None:
        log.warning("%s", line, extra={"action": "nodes"})
        for job in self._planner.jobs:
            self._store.event(job, line)

    def forget(self, job: str) -> None:
        """A job was cleaned or purged: RQ need not remember it either."""
        self._forgotten[rq_name(job)] = time.monotonic() + FORGETTING_S
        self._forget_in_rq()

    def _expire_leases(self) -> None:
        for job, task, attempt in self._store.expired_leases(self._store.now_ms()):
            snapshot = self._jobs.get(job)
            if snapshot is None and job in self._store.active_jobs():
                continue  # submitted just now: its event comes
            survives = snapshot.spec.max_failures if snapshot else 0
            state = self._store.task_state(job, task)
            where = f"worker {state.worker} on node {state.node}" if state else "its worker"
            why = f"{where} was lost: it gave no sign of life for {LEASE_S:.0f} s"
            answer = self._store.end_attempt(job, task, state, attempt, "lost", why, survives)
            if answer == "overtaken":
                self._store.forget_lease(job, task, attempt)
            told = {"action": "expire", "job": job}
            log.warning("%s %s/%s: %s (%s)", job, task, attempt, why, answer, extra=told)

    def _release_lost_batches(self) -> None:
        """Hand back what is queued on nodes that are dead or closed, or lost its worker before the claim."""
        now = time.monotonic()
        in_queue: dict[str, set[str]] = {}
        for batch_id, batch in list(self._planner.batches.items()):
            node = self._planner.nodes.get(batch.node)
            unused = node is None or not node.keeps_queue
            if not unused and now - batch.since_s < QUEUE_PATIENCE_S:
                continue
            if not unused:
                if batch.node not in in_queue:
                    in_queue[batch.node] = set(node_queue(self._redis, batch.node).job_ids)
                if batch_id in in_queue[batch.node]:
                    continue
            if self._release_queued(batch_id, batch) and unused:
                queue = node_queue(self._redis, batch.node)
                queue.remove(batch_id)
                queue.intermediate_queue.remove(batch_id)
                delete_batch(self._redis, batch_id)

    def _release_queued(self, batch_id: str, batch: Batch) -> bool:
        """Let those tasks of a batch that nobody has claimed wait again, uncounted. True: all of them."""
        why = f"its place in the queue of node {batch.node} was lost"
        claimed = False
        for task in sorted(batch.open_tasks):
            state = self._store.task_state(batch.job, str(task))
            if state is not None and state.state == "queued" and state.batch == batch_id:
                answer = self._store.end_attempt(
                    batch.job, str(task), state, state.attempt, "release", why, 0
                )
                told = {"action": "release", "job": batch.job}
                log.warning("%s %s: %s (%s)", batch.job, task, why, answer, extra=told)
                claimed |= answer in ("overtaken", "notleader")  # a worker, or another master, was faster
            else:
                claimed = True
        return not claimed

    def _tell_stranded(self) -> None:
        """A job that waits for a node says so in its history, and says when one has come."""
        waiting = self._planner.stranded()
        for job in (self._stranded.keys() - waiting.keys()) & self._planner.jobs.keys():
            self._store.event(job, "A node is there again: the job goes on")
        for job, why in waiting.items():
            if self._stranded.get(job) != why:  # new, or it waits for something else now
                self._store.event(job, why)
        self._stranded = waiting

    def _forget_in_rq(self) -> None:
        """Delete what RQ keeps of forgotten jobs: batches that are through, and those that end now."""
        now = time.monotonic()
        self._forgotten = {job: until for job, until in self._forgotten.items() if until > now}
        for node in self._store.nodes() if self._forgotten else ():
            queue = node_queue(self._redis, node)
            unfinished = queue.intermediate_queue  # of workers that died untold
            for registry in (queue.finished_job_registry, queue.failed_job_registry):
                for batch_id in registry.get_job_ids(cleanup=False):
                    if job_of_batch(batch_id) in self._forgotten:
                        registry.remove(batch_id)
                        delete_batch(self._redis, batch_id)
                        # A worker that cleaned up may have noted it right after it was through.
                        self._redis.delete(unfinished.get_first_seen_key(batch_id))
            for batch_id in unfinished.get_job_ids():
                if job_of_batch(batch_id) in self._forgotten:
                    unfinished.remove(batch_id)
                    self._redis.delete(unfinished.get_first_seen_key(batch_id))
                    delete_batch(self._redis, batch_id)
