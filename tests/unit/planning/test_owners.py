"""Slots by owner: shares are kept within one slot, caps are never passed, and nobody starves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from math import ceil, floor, inf
from typing import Any

import pytest

from disco_rq.model import TaskId
from disco_rq.planning.board import Board
from disco_rq.planning.jobstate import JobState
from disco_rq.planning.owners import Portions, as_owner, is_owner, parse_owner_slots, parse_shares, quotas
from disco_rq.planning.planner import Planner
from disco_rq.planning.stragglers import laggards


class Story:
    """Slots that run tasks of random length, in virtual time."""

    def __init__(self, seed: int, portions: Portions, nodes: Mapping[str, int]) -> None:
        self.random = random.Random(seed)
        self.board = Board(portions)
        self.planner = Planner(self.board)
        self.board.set_nodes(nodes, [])
        self.now_s = 0.0
        self.ends: list[tuple[float, str, TaskId, int]] = []
        self.served: Counter[str] = Counter()  # seconds of slots

    def job(self, name: str, owner: str, maps: int = 100_000, **options: Any) -> JobState:
        job = JobState(name, maps, 0, owner=owner, **options)
        self.board.add_job(job)
        return job

    def held(self) -> dict[str, int]:
        return dict(self.board.owners.held)

    def plan(self, mean_s: float = 5.0) -> None:
        for one in self.planner.plan(self.now_s):
            owner = self.board.jobs[one.job].owner
            assert self.held()[owner] <= self.board.owners.portions.most(owner)
            for task, attempt in one.tasks:
                took_s = self.random.expovariate(1 / mean_s) + 0.01
                self.ends.append((self.now_s + took_s, one.job, task, attempt))

    def step(self) -> None:
        """Until the next task ends."""
        self.ends.sort()
        at_s, name, task, attempt = self.ends.pop(0)
        for owner, number in self.held().items():
            self.served[owner] += number * (at_s - self.now_s)  # type: ignore[assignment]
        self.now_s = at_s
        self.board.task_done(name, task, attempt, now_s=at_s, duration_s=5.0)


@pytest.mark.parametrize("seed", range(12))
def test_owners_hold_what_they_are_due_within_one_slot_and_never_more_than_their_cap(seed: int) -> None:
    chance = random.Random(seed)
    owners = [f"o{i}" for i in range(chance.randint(2, 9))]
    shares = {owner: chance.choice([0.5, 1, 1, 2, 3, 7]) for owner in owners[1:]}
    caps = {owner: chance.randint(1, 4) for owner in owners if chance.random() < 0.3}
    nodes = {f"n{i}": chance.randint(1, 6) for i in range(chance.randint(1, 5))}
    slots = sum(nodes.values())
    story = Story(seed, Portions(shares, caps), nodes)
    for owner in owners:
        for number in range(chance.randint(1, 3)):
            story.job(f"{owner}-{number}", owner, priority=chance.randint(0, 2))
    due = quotas(slots, {owner: min(caps.get(owner, inf), slots) for owner in owners}, Portions(shares))

    for _ in range(150):
        story.plan()
        held = story.held()
        assert sum(held.values()) == min(slots, sum(caps.get(owner, slots) for owner in owners))
        for owner in owners:
            assert floor(due[owner] + 1e-9) <= held.get(owner, 0) <= ceil(due[owner] - 1e-9), (
                owner,
                due,
                held,
            )
        story.step()


def test_parts_of_a_slot_are_dealt_by_time() -> None:
    story = Story(1, Portions({"alice": 3}, {}), {"n": 1})
    for owner in ("alice", "bob"):
        story.job(owner, owner)
    for _ in range(2000):
        story.plan(mean_s=5.0 if story.random.random() < 0.5 else 50.0)
        story.step()

    assert 2.8 < story.served["alice"] / story.served["bob"] < 3.2


def test_nobody_starves_where_there_are_more_owners_than_slots() -> None:
    story = Story(2, Portions({"boss": 100}, {}), {"n": 2})
    for owner in ("boss", *(f"o{i}" for i in range(20))):
        story.job(owner, owner, priority=5 if owner == "boss" else 0)
    for _ in range(1500):
        story.plan()
        story.step()

    seconds = {owner: story.served[owner] / story.now_s for owner in story.served}
    assert len(seconds) == 21
    assert all(0.5 < seconds[f"o{i}"] / (2 / 120) < 1.5 for i in range(20))


def test_short_tasks_that_wait_ahead_in_queues_keep_the_shares() -> None:
    story = Story(3, Portions({"alice": 3}, {}), {"n": 1})
    jobs = {owner: story.job(owner, owner) for owner in ("alice", "bob")}
    for job in jobs.values():
        job.maps.measure(0.05)
    queue: list[Any] = []
    done: Counter[str] = Counter()
    for turn in range(2000):
        queue += story.planner.plan(turn * 0.1)
        assert len(queue) == 2
        batch = queue.pop(0)
        done[batch.job] += 1
        for task, attempt in batch.tasks:
            story.board.task_done(batch.job, task, attempt, now_s=turn * 0.1, duration_s=0.05)

    assert 2.8 < done["alice"] / done["bob"] < 3.2


def test_an_owner_alone_has_all_up_to_its_cap() -> None:
    for caps, slots in (({}, 6), ({"alice": 4}, 4), ({"*": 2}, 2)):
        story = Story(1, Portions({"alice": 1, "bob": 5}, caps), {"a": 3, "b": 3})
        story.job("job", "alice")
        story.plan()

        assert story.held() == {"alice": slots}


def test_caps_alone_leave_the_turns_as_they_are() -> None:
    story = Story(1, Portions({}, {"alice": 2}), {"a": 6})
    story.job("urgent", "alice", priority=9)
    story.job("other", "bob")
    story.plan()

    assert story.held() == {"alice": 2, "bob": 4}
    assert [one.job for one in story.planner.plan(1)] == []


def test_what_one_owner_cannot_use_the_others_have() -> None:
    story = Story(1, Portions({"alice": 3, "bob": 1}, {}), {"a": 8})
    story.job("two", "alice", maps=2)
    story.job("many", "bob")
    story.job("narrow", "carol", max_cores=1)
    story.plan()

    assert story.held() == {"alice": 2, "bob": 5, "carol": 1}


def test_within_an_owner_priority_counts_and_not_beside_others() -> None:
    story = Story(1, Portions({"*": 1}, {}), {"a": 4})
    low = story.job("low", "alice")
    high = story.job("high", "alice", priority=5)
    story.job("others", "bob")
    story.plan()

    assert (low.batches, high.batches) == (0, 2)
    assert story.held() == {"alice": 2, "bob": 2}


def test_a_copy_of_a_task_that_lags_counts_and_is_not_made_beyond_the_cap() -> None:
    for cap, copies in ((2, 0), (3, 1)):
        story = Story(1, Portions({}, {"alice": cap}), {"a": 1, "b": 1, "c": 1})
        story.job("job", "alice", maps=4)
        first = story.planner.plan(0)
        for one in [*first[:1], *story.planner.plan(0)]:
            for task, attempt in one.tasks:
                story.board.task_done(one.job, task, attempt, now_s=1, duration_s=1)
        while len(story.board.jobs["job"].maps.done) < 2:
            for one in story.planner.plan(1):
                for task, attempt in one.tasks:
                    story.board.task_done(one.job, task, attempt, now_s=1, duration_s=1)
        story.planner.plan(1)
        lagging = [(laggard, 60.0) for laggard in laggards(story.board, 60)]
        made = story.planner.copies(lagging, 60)

        assert story.held()["alice"] <= cap
        assert bool(made) == bool(copies)


def test_what_is_no_share_and_no_number_of_slots_is_named() -> None:
    assert parse_shares("alice=3, bob=0.5 *=1") == {"alice": 3, "bob": 0.5, "*": 1}
    assert parse_owner_slots("alice=8,*=4") == {"alice": 8, "*": 4}
    assert parse_shares("") == {}
    for text in ("alice", "alice=", "=3", "alice=0", "alice=-1", "alice=x", "alice=1e5", "alice=nan"):
        with pytest.raises(ValueError, match=f"'{text}' is no share of an owner"):
            parse_shares(f"bob=1,{text}")
    for text in ("alice=1.5", "alice=0"):
        with pytest.raises(ValueError, match=f"'{text}' is no number of slots of an owner"):
            parse_owner_slots(text)
    for text in ("alice=3;bob=2", "alice==3"):  # no owner is called so
        with pytest.raises(ValueError, match=f"'{text}' is no share of an owner"):
            parse_shares(text)
    with pytest.raises(ValueError, match="alice is named twice"):
        parse_shares("alice=1,alice=2")


def test_a_user_is_an_owner_that_shares_can_name() -> None:
    for user, owner in (
        ("me", "me"),
        ("Jane  Doe", "Jane_Doe"),
        ("a=b;c", "a_b_c"),
        ("CORP\\jane", "CORP\\jane"),
    ):
        assert as_owner(user) == owner
        assert is_owner(owner)
        assert parse_shares(f"{owner}=2") == {owner: 2}
