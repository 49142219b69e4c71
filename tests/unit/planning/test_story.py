"""The planner in long random stories, seeded: whatever happens, its promises hold, and every job ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from disco_rq.model import TaskId
from disco_rq.planning.assignment import Assignment
from disco_rq.planning.board import Board
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.planner import Planner
from disco_rq.planning.stragglers import Laggard, laggards
from tests.scale import virtual
from tests.unit.planning.plain_planner import PlainPlanner

MAX_STEPS = 5000


@dataclass
class Task:
    """A task as Redis has it; the planner under test is only told of it."""

    state: str = "waiting"  # under way, done
    attempt: int = 0
    node: str = ""
    batch: str = ""
    failed_on: dict[str, float] = field(default_factory=dict)
    taken: int = 0  # the highest number of an attempt
    copy: Task | None = None  # of the attempt that is under way, on another node


@dataclass
class Wishes:
    """What was submitted."""

    nr_maps: int
    nr_reduces: int
    max_cores: int | None
    priority: int
    submitted_ms: int
    preferred: dict[int, str]


class Story:
    """A cluster that lives: nodes come and go, tasks end or fail, masters are replaced, events come twice."""

    def __init__(self, seed: int, make: Callable[[Board], Planner] = Planner) -> None:
        self.random = random.Random(seed)
        self.make = make
        self.assigned: list[Assignment] = []
        self.now_s = 0.0
        self.names = [f"n{i}" for i in range(self.random.randint(1, 4))]
        self.slots: dict[str, int] = {name: self.random.randint(1, 3) for name in self.names}
        self.blacklist: set[str] = set()
        self.jobs = {f"job{i}": self.new_job(i) for i in range(self.random.randint(1, 4))}
        self.tasks = {name: self.tasks_of(wishes) for name, wishes in self.jobs.items()}
        self.trouble = True
        self.copied = 0
        self.told: list[tuple[str, TaskId, int, str]] = []  # events, to be told again
        self.planner = make(Board())
        self.restart_master()

    def new_job(self, number: int) -> Wishes:
        maps = self.random.randint(1, 25)
        homes = {i: self.random.choice(self.names) for i in range(maps) if self.random.random() < 0.3}
        cores = self.random.choice([None, None, 1, 2])
        return Wishes(maps, self.random.randint(0, 5), cores, self.random.choice([0, 0, 1]), number, homes)

    def tasks_of(self, wishes: Wishes) -> dict[TaskId, Task]:
        maps = {TaskId("map", i): Task() for i in range(wishes.nr_maps)}
        return maps | {TaskId("reduce", i): Task() for i in range(wishes.nr_reduces)}

    # -- what happens

    def restart_master(self) -> None:
        """Another master knows what Redis has, and nothing else."""
        self.planner = self.make(Board())
        self.planner.board.set_nodes(self.slots, self.blacklist)
        for name in self.active():
            self.load(name)

    def load(self, name: str) -> None:
        wishes, tasks = self.jobs[name], self.tasks[name]
        state = JobState(
            name,
            wishes.nr_maps,
            wishes.nr_reduces,
            priority=wishes.priority,
            submitted_ms=wishes.submitted_ms,
            max_cores=wishes.max_cores,
            preferred=wishes.preferred,
            attempts={task: it.attempt for task, it in tasks.items() if it.attempt},
            excluded={task: dict(it.failed_on) for task, it in tasks.items() if it.failed_on},
        )
        self.planner.board.add_job(state)
        for task, it in tasks.items():
            if it.state == "done":
                self.planner.board.task_done(name, task, it.attempt, now_s=self.now_s)
            for live in (it, it.copy):
                if live is not None and live.state == "under way":
                    self.planner.board.task_assigned(
                        name, task, live.attempt, node=live.node, batch_id=live.batch, now_s=self.now_s
                    )
            self.planner.board.number_taken(name, task, it.taken)

    def end_one(self) -> None:
        """An attempt that is under way is committed, fails, or is lost."""
        running = self.under_way()
        if not running:
            return
        name, task, it = self.random.choice(running)
        own = self.tasks[name][task]
        if it.node in self.slots and (not self.trouble or self.random.random() < 0.7):
            both = {live.attempt for live in (own, own.copy) if live is not None}
            self.told.append((name, task, it.attempt, "done"))
            took_s = self.random.choice([0.001, 0.05, 3.0])
            over = self.planner.board.task_done(name, task, it.attempt, now_s=self.now_s, duration_s=took_s)
            assert over.keys() == both - {it.attempt}
            own.state, own.attempt, own.node, own.batch, own.copy = (
                "done",
                it.attempt,
                it.node,
                it.batch,
                None,
            )
            if all(other.state == "done" for other in self.tasks[name].values()):
                self.planner.board.remove_job(name)
            return
        guilty = it.node if self.random.random() < 0.7 else ""
        if guilty:
            own.failed_on[guilty] = self.now_s
        attempt = it.attempt
        if it is own and own.copy is not None:
            own.attempt, own.node, own.batch = own.copy.attempt, own.copy.node, own.copy.batch
        elif it is own:
            own.state = "waiting"
        own.copy = None
        self.told.append((name, task, attempt, guilty))
        self.planner.board.task_failed(name, task, attempt, guilty, self.now_s)

    def repeat_an_event(self) -> None:
        if self.told:
            name, task, attempt, what = self.random.choice(self.told)
            if what == "done":
                self.planner.board.task_done(name, task, attempt, now_s=self.now_s, duration_s=0.1)
            else:
                self.planner.board.task_failed(name, task, attempt, what, self.now_s)

    def change_nodes(self) -> None:
        name = self.random.choice(self.names)
        if self.slots.pop(name, 0) == 0:
            self.slots[name] = self.random.randint(1, 3)
        if self.random.random() < 0.3:
            self.blacklist ^= {self.random.choice(self.names)}
        self.planner.board.set_nodes(self.slots, self.blacklist)

    def step(self) -> None:
        self.now_s += self.random.choice([0.01, 0.5, 3.0])
        chance = self.random.random()
        if self.trouble and chance < 0.06:
            self.change_nodes()
        elif self.trouble and chance < 0.09:
            self.restart_master()
        elif self.trouble and chance < 0.12 and self.active():
            name = self.random.choice(self.active())  # paused and resumed, or not as the master thought
            self.planner.board.remove_job(name)
            self.load(name)
        elif self.trouble and chance < 0.2:
            self.repeat_an_event()
        else:
            self.end_one()
        for assignment in self.planner.plan(self.now_s):
            self.assigned.append(assignment)
            self.carry_out(assignment)
        for copy in self.planner.copies(self.lagging(), self.now_s):
            self.carry_out_copy(copy)
        self.check()

    def lagging(self) -> list[tuple[Laggard, float]]:
        """Those that lag by the rule, and some that lag by chance."""
        found = laggards(self.planner.board, self.now_s)
        found += [
            Laggard(name, task, it.attempt, it.node, it.batch, 1.0, 2.0)
            for name, task, it in self.under_way()
            if it is self.tasks[name][task] and it.copy is None and self.random.random() < 0.6
        ]
        return [(laggard, 3.0) for laggard in {(one.job, one.task): one for one in found}.values()]

    def carry_out(self, assignment: Assignment) -> None:
        """Each attempt is promised once, to a node that may have it."""
        assert assignment.node in self.slots
        assert assignment.node not in self.blacklist
        maps_done = all(
            it.state == "done" for task, it in self.tasks[assignment.job].items() if task.phase == "map"
        )
        for task, attempt in assignment.tasks:
            it = self.tasks[assignment.job][task]
            assert it.state == "waiting", f"{assignment.job} {task} is {it.state}"
            assert attempt == it.taken + 1
            assert task.phase == "map" or maps_done
            self.check_exclusion(assignment.node, it)
            it.state, it.attempt, it.taken = "under way", attempt, attempt
            it.node, it.batch = assignment.node, assignment.batch_id

    def carry_out_copy(self, copy: Assignment) -> None:
        """A task that is under way alone gets one, on an idle slot of a node that never failed it."""
        assert copy.node in self.slots
        assert copy.node not in self.blacklist
        [(task, attempt)] = copy.tasks
        it = self.tasks[copy.job][task]
        assert (it.state, it.copy, it.attempt) == ("under way", None, copy.copy_of)
        assert copy.node not in {it.node, *it.failed_on}
        assert attempt == it.taken + 1
        assert self.planner.board.nodes[copy.node].batches <= self.slots[copy.node]
        it.copy, it.taken = Task("under way", attempt, copy.node, copy.batch_id), attempt
        self.copied += 1

    def check_exclusion(self, node: str, it: Task) -> None:
        if node in it.failed_on:
            usable = set(self.slots) - self.blacklist
            assert usable <= set(it.failed_on), "a node that failed it, while another lives"
            assert it.failed_on[node] == min(it.failed_on[name] for name in usable)

    # -- what is so

    def active(self) -> list[str]:
        return [
            name for name, tasks in self.tasks.items() if any(it.state != "done" for it in tasks.values())
        ]

    def under_way(self) -> list[tuple[str, TaskId, Task]]:
        return [
            (name, task, live)
            for name, tasks in self.tasks.items()
            for task, it in tasks.items()
            for live in (it, it.copy)
            if live is not None and live.state == "under way"
        ]

    def check(self) -> None:
        """The planner's books agree with the world."""
        batches = {(name, it.node, it.batch) for name, _, it in self.under_way()}
        assert {(batch.job, batch.node, key) for key, batch in self.planner.board.batches.items()} == batches
        for node, state in self.planner.board.nodes.items():
            assert state.batches == sum(on == node for _, on, _ in batches)
        for name in self.active():
            job = self.planner.board.jobs[name]
            assert job.batches == sum(of == name for of, _, _ in batches)
            assert job.running == sum(of == name for of, _, _ in self.under_way())
            assert job.max_cores is None or job.batches <= job.max_cores


@pytest.mark.parametrize("seed", range(60))
def test_every_job_ends_and_no_promise_is_broken(seed: int) -> None:
    story = Story(seed)
    capacity = story.random.randint(100, 300)

    steps = 0
    while story.active():
        steps += 1
        assert steps < MAX_STEPS, f"still active: {story.active()}"
        if steps == capacity:  # the trouble ends, and with it the excuses
            story.trouble, story.blacklist = False, set()
            story.slots = {name: story.slots.get(name, 1) for name in story.names}
            story.planner.board.set_nodes(story.slots, story.blacklist)
        story.step()

    assert story.planner.board.batches == {}


def test_there_are_copies_in_these_stories() -> None:
    copied = 0
    for seed in range(30):
        story = Story(seed)
        while story.active() and story.now_s < 200:
            story.step()
        copied += story.copied
    assert copied > 20


@pytest.mark.parametrize("seed", range(10))
def test_a_node_never_has_more_than_its_slots_and_one_ahead(seed: int) -> None:
    story = Story(seed)
    story.trouble = False  # its slots stay the same

    while story.active():
        story.step()
        for name, state in story.planner.board.nodes.items():
            assert state.batches <= story.slots[name] + 1


@pytest.mark.parametrize("seed", range(60, 120))
def test_it_decides_as_its_rules_read_word_by_word(seed: int) -> None:
    fast, plain = Story(seed), Story(seed, PlainPlanner)

    for _ in range(200):
        fast.step()
        plain.step()
        assert fast.assigned == plain.assigned


def test_it_decides_so_on_many_nodes_with_many_jobs_too() -> None:
    story = virtual.Story(nodes=12, slots=3, jobs=15, tasks=600, mean_s=0.7, deaths=4)
    fast, plain = virtual.Play(story), virtual.Play(story, PlainPlanner(Board()))

    assert fast.run().shares == plain.run().shares
    assert fast.assigned == plain.assigned
