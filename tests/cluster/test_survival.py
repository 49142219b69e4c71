"""Workers, nodes, masters and Redis are lost in the middle of jobs: when it is noticed, and what comes out.

What waits for leases waits together: each story below plays once, and several tests look at what it told.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from disco_rq import Disco
from disco_rq.errors import ConnectionLost
from disco_rq.model import LEASE_S
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster, Part, send

NOTICED_S = 10.0
"""A lost worker's task runs elsewhere, and a dead leader's place is taken, within this."""
NODE_NOTICED_S = 15.0
AWAY_S = 30.0
"""For how long every program tries to reach a Redis that is away."""
SOME_S = 8.0
"""What a machine with other things to do may need beyond that."""


# -- Redis is away for good: it begins first and is looked at last, since it takes half a minute


@dataclass
class Bereaved:
    """A cluster whose Redis has been killed."""

    cluster: NodeCluster
    client: Future[tuple[BaseException | None, float]]  # how and when a client ended that waited for a job
    died_at: float = field(default_factory=time.monotonic)

    def statuses(self) -> dict[str, int]:
        """The exit status of every program, when all have ended."""
        return {
            part.name: part.wait(max(0.1, self.died_at + AWAY_S + SOME_S - time.monotonic()))
            for part in [*self.cluster.masters, *self.cluster.nodes.values()]
        }


@pytest.fixture(scope="module", autouse=True)
def bereaved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bereaved]:
    """A leader, one that stands by, a node with a task and an idle one: their Redis is killed, for good."""
    with NodeCluster() as cluster, ThreadPoolExecutor(1) as pool:
        cluster.master()
        cluster.master()
        cluster.node("busy")
        cluster.wait_ready()
        job = GatedJob(cluster.disco, tmp_path_factory.mktemp("bereaved"), lines=1)
        wait_until(lambda: job.traces("map"))
        cluster.node("idle")
        cluster.wait_ready()
        client = pool.submit(ended, job)
        cluster.kill_redis()
        yield Bereaved(cluster, client)


def ended(job: GatedJob) -> tuple[BaseException | None, float]:
    """What ends a client that waits for a job, and when."""
    try:
        job.job.wait(timeout=300)
    except ConnectionLost as error:
        return error, time.monotonic()
    return None, time.monotonic()


# -- a worker, two nodes


@dataclass
class Losses:
    """What happened when a worker was killed, a node killed, and two nodes stopped, at the same time."""

    cluster: NodeCluster
    job: GatedJob
    worker_s: float  # until the killed worker's task ran elsewhere
    node_s: float  # until the killed node's task ran elsewhere
    heir_s: float  # until the node that gets their tasks was there: how slow the machine is
    node_forgotten_s: float  # until the cluster knew that it has no workers any more
    zombie: tuple[int, str, int]  # partition, node and pid of the attempt that was stopped and went on
    moved: set[str]  # where the tasks that were queued on a stopped node ran


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Losses]:
    with NodeCluster() as cluster:
        # given a node that is stopped, unknown to the master, before a job comes: its share is queued there
        cluster.master()
        for name in ("worker-dies", "node-dies", "stops", "deaf"):
            cluster.node(name)
        cluster.wait_ready()
        cluster.nodes["deaf"].stop()
        job = GatedJob(cluster.disco, tmp_path_factory.mktemp("losses"), max_failures=9)
        places = wait_until(lambda: placed if len(placed := by_node(job)) == 3 else None)
        # when a worker and a node die, and another node stops
        [worker] = cluster.nodes["worker-dies"].workers()
        worker.kill()
        cluster.nodes["node-dies"].kill()
        cluster.nodes["stops"].stop()
        began = time.monotonic()
        cluster.node("heir", slots=4)
        times = dict.fromkeys(("worker-dies", "node-dies", "stops", "deaf"), 0.0)
        lost = {places[node][0]: node for node in ("worker-dies", "node-dies", "stops")}
        [queued] = set(range(4)) - set(lost)
        lost[queued] = "deaf"
        node_forgotten_s = heir_s = 0.0

        def all_run_elsewhere() -> bool:
            nonlocal node_forgotten_s, heir_s
            now = time.monotonic() - began
            if cluster.slots("heir") and not heir_s:
                heir_s = now
            if not cluster.slots("node-dies") and not node_forgotten_s:
                node_forgotten_s = now
            elsewhere = {partition for partition, *_ in set(job.traces("map")) - set(places.values())}
            for partition in elsewhere:
                times[lost[partition]] = times[lost[partition]] or now
            return len(elsewhere) == 4 and node_forgotten_s > 0

        wait_until(all_run_elsewhere, timeout_s=60)
        # and the maps end without the stopped attempt, which goes on while the reduces run, to its end
        job.open_gate("maps")
        wait_until(lambda: len(job.traces("reduce")) == 2)
        zombie = places["stops"]
        cluster.nodes["stops"].go_on()
        cluster.nodes["deaf"].go_on()
        wait_until(lambda: zombie in job.traces("mapped"))
        output = cluster.data("stops") / job.job.name / f"map-{zombie[0]}.1"
        wait_until(lambda: "overtaken" in cluster.nodes["stops"].said and not output.exists())
        moved = {node for partition, node, _ in job.traces("map") if partition == queued}
        job.open_gate("reduces")
        job.job.wait(timeout=30)
        of_both = times["worker-dies"], times["node-dies"]
        yield Losses(cluster, job, *of_both, heir_s, node_forgotten_s, zombie, moved)


def by_node(job: GatedJob) -> dict[str, tuple[int, str, int]]:
    return {found[1]: found for found in job.traces("map")}


def test_the_task_of_a_lost_worker_runs_elsewhere_within_10_s(losses: Losses) -> None:
    assert losses.worker_s < NOTICED_S + losses.heir_s + 1


def test_a_killed_node_is_noticed_and_its_task_runs_elsewhere_within_15_s(losses: Losses) -> None:
    assert losses.node_forgotten_s < NODE_NOTICED_S + losses.heir_s
    assert losses.node_s < NODE_NOTICED_S + losses.heir_s


def test_what_was_queued_on_a_lost_node_moves_and_counts_as_no_failure(losses: Losses) -> None:
    assert "deaf" not in losses.moved
    assert losses.job.job.jobinfo()["mapi"] == [0, 0, 4, 3]


def test_a_node_that_comes_back_with_a_finished_zombie_attempt_changes_nothing(losses: Losses) -> None:
    losses.job.assert_right()
    partition, node, _ = losses.zombie
    assert not (losses.cluster.data(node) / losses.job.job.name / f"map-{partition}.1").exists()


def test_nodes_that_came_back_run_tasks_again(losses: Losses, tmp_path: Path) -> None:
    for node in ("heir", "worker-dies"):
        losses.cluster.disco.blacklist(node)
    job = GatedJob(losses.cluster.disco, tmp_path)
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert set(job.job.jobinfo()["nodes"]) <= {"stops", "deaf"}


# -- masters


@dataclass
class Successions:
    """What happened when one leader was killed and the next one stopped, and went on."""

    cluster: NodeCluster
    job: GatedJob
    led_at_first: list[Part]
    after_kill_s: float
    after_stop_s: float
    stopped: Part
    times_the_stopped_led: int


@pytest.fixture(scope="module", autouse=True)
def successions_under_way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Successions]]:
    """The story plays while others do."""
    with NodeCluster() as cluster, ThreadPoolExecutor(1) as pool:
        yield pool.submit(succeed, cluster, tmp_path_factory.mktemp("successions"))


@pytest.fixture(scope="module")
def successions(successions_under_way: Future[Successions]) -> Successions:
    return successions_under_way.result()


def succeed(cluster: NodeCluster, directory: Path) -> Successions:
    first = cluster.master()
    wait_until(lambda: times_led(first))
    second = cluster.master()
    cluster.node("only", slots=2)
    cluster.wait_ready()
    led_at_first = [master for master in (first, second) if times_led(master)]
    job = GatedJob(cluster.disco, directory)
    wait_until(lambda: len(job.traces("map")) == 2)
    # when the leader is killed, another one comes
    first.kill()
    began = time.monotonic()
    wait_until(lambda: times_led(second), timeout_s=NOTICED_S + SOME_S)
    after_kill_s = time.monotonic() - began
    third = cluster.master()
    # and when that is stopped among the reduces, the next
    job.open_gate("maps")
    wait_until(lambda: job.traces("reduce"))
    second.stop()
    began = time.monotonic()
    wait_until(lambda: times_led(third), timeout_s=NOTICED_S + SOME_S)
    after_stop_s = time.monotonic() - began
    second.go_on()
    wait_until(lambda: "the lead is lost" in second.said)
    job.open_gate("reduces")
    job.job.wait(timeout=30)
    return Successions(cluster, job, led_at_first, after_kill_s, after_stop_s, second, times_led(second))


def times_led(master: Part) -> int:
    return master.said.count("this master leads")


def test_of_several_masters_one_leads(successions: Successions) -> None:
    assert [master.name for master in successions.led_at_first] == ["master0"]


def test_the_place_of_a_killed_leader_is_taken_within_10_s(successions: Successions) -> None:
    assert successions.after_kill_s < NOTICED_S


def test_the_place_of_a_stopped_leader_is_taken_within_10_s(successions: Successions) -> None:
    assert successions.after_stop_s < NOTICED_S


def test_a_leader_that_was_stopped_and_goes_on_does_no_harm(successions: Successions, tmp_path: Path) -> None:
    successions.job.assert_right()
    assert successions.job.failed_attempts() == 0
    assert successions.times_the_stopped_led == 1
    # it stands by: the next job is done by the master that leads
    job = GatedJob(successions.cluster.disco, tmp_path)
    job.open_gate("maps", "reduces")
    job.assert_right()


def test_a_leader_that_is_asked_to_leave_is_followed_at_once(successions: Successions) -> None:
    leader = successions.cluster.masters[-1]
    assert leader.terminate() == 0
    wait_until(lambda: times_led(successions.stopped) == 2, timeout_s=LEASE_S / 2)


# -- nodes come late; Redis comes back


def test_a_job_without_a_node_says_that_it_waits_and_goes_on_when_one_comes(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    nodes.master()
    job = GatedJob(nodes.disco, tmp_path)
    wait_until(lambda: "No node is alive: the job waits for one" in job.history())
    assert job.job.results(timeout=0)[0] == "active"
    nodes.node("late", slots=2)
    wait_until(lambda: "A node is there again: the job goes on" in job.history())
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert job.failed_attempts() == 0


def test_redis_killed_and_started_again_in_the_middle_changes_nothing_but_time(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given maps under way on one node, and another that must not get any
    nodes.master()
    nodes.node("used", slots=2)
    nodes.node("listed")
    nodes.wait_ready()
    nodes.disco.blacklist("listed")
    job = GatedJob(nodes.disco, tmp_path)
    wait_until(lambda: len(job.traces("map")) == 2)
    # when Redis dies, all maps would be committed meanwhile, and it comes back
    nodes.kill_redis()
    job.open_gate("maps")
    wait_until(lambda: len(job.traces("mapped")) == 2)
    nodes.start_redis()
    # and dies once more among the reduces, for longer than a lease and than RQ's own patience
    wait_until(lambda: len(job.traces("reduce")) == 2)
    nodes.kill_redis()
    time.sleep(LEASE_S + 5)
    nodes.start_redis()
    job.open_gate("reduces")
    # then
    job.assert_right()
    assert job.failed_attempts() == 0
    assert job.job.jobinfo()["nodes"] == ["used"]


@pytest.mark.long
def test_blacklisted_and_whitelisted_survive_a_restart_of_everything(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given
    nodes.master()
    nodes.node("used", slots=2)
    nodes.node("listed")
    nodes.wait_ready()
    nodes.disco.blacklist("listed")
    nodes.disco.blacklist("used")
    nodes.disco.whitelist("used")
    # when all is killed and started again
    for part in [*nodes.masters, *nodes.nodes.values()]:
        part.kill()
    nodes.kill_redis()
    nodes.start_redis()
    for part in [*nodes.masters, *nodes.nodes.values()]:
        part.start()
    nodes.wait_ready()
    # then
    job = GatedJob(nodes.disco, tmp_path)
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert job.job.jobinfo()["nodes"] == ["used"]
    assert {n["node"]: n["blacklisted"] for n in nodes.disco.nodeinfo()["available"]} == {
        "used": False,
        "listed": True,
    }


def test_a_worker_that_dies_in_a_task_leaves_no_process_behind(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a node whose two workers run a task each, and may have spare horses
    nodes.master()
    node = nodes.node("only", slots=2)
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path)
    wait_until(lambda: len(job.traces("map")) == 2)
    dies, lives = node.workers()
    its_horses, other_horses = dies.children(), lives.children()
    # when
    send(dies, signal.SIGKILL)
    # then its horses end, the other's task goes on, and another worker takes its place
    wait_until(lambda: not any(horse.is_running() for horse in its_horses), timeout_s=5)
    assert {pid for *_, pid in job.traces("map")} & {horse.pid for horse in other_horses}
    assert any(horse.is_running() for horse in other_horses)
    wait_until(lambda: len(node.workers()) == 2)
    job.open_gate("maps", "reduces")
    job.assert_right()


# -- what began first: Redis away for good


def test_without_redis_a_client_ends_with_one_line_that_names_it(bereaved: Bereaved) -> None:
    # a new one at once, one that waits for a job after half a minute
    told = rf"Redis at {bereaved.cluster.url} cannot be reached: .*"
    with pytest.raises(ConnectionLost) as caught:
        Disco(bereaved.cluster.url)
    assert re.fullmatch(told, str(caught.value))
    error, when = bereaved.client.result(timeout=AWAY_S + SOME_S)
    assert isinstance(error, ConnectionLost)
    assert re.fullmatch(told, str(error))
    assert when - bereaved.died_at < AWAY_S + SOME_S


def test_without_redis_masters_and_nodes_end_with_one_line_each(bereaved: Bereaved) -> None:
    assert bereaved.statuses() == {"master0": 1, "master1": 1, "busy": 1, "idle": 1}
    for part in [*bereaved.cluster.masters, *bereaved.cluster.nodes.values()]:
        told = f"disco-rq: Redis at {bereaved.cluster.url} cannot be reached: "
        assert part.last_words.startswith(told), part.said
        assert "Traceback" not in part.said
        assert part.processes() == []


def test_a_worker_that_dies_on_a_living_node_is_lost_at_once_with_what_it_ran(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given a node whose worker runs a task, and another one
    nodes.master()
    nodes.node("first")
    nodes.wait_ready()
    job = GatedJob(nodes.disco, tmp_path / "gates", lines=1)
    [(_, _, pid)] = wait_until(lambda: job.traces("map"))
    nodes.node("second")
    nodes.wait_ready()
    # when the worker is killed, and nothing tells its horse
    [worker] = nodes.nodes["first"].workers()
    send(worker, signal.SIGKILL)
    # then the task runs elsewhere because its node told, not its lease; the horse is dead by then
    wait_until(lambda: len(job.traces("map")) == 2)
    assert not psutil.pid_exists(pid)
    assert "its process ended" in job.job.story("map:0")[0]["error"]
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert any("was lost: its process ended" in line for line in job.history())
