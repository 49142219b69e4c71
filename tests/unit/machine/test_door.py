"""Who has to go when many stand in the door of a server, and who never has to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from disco_rq.machine.door import LOOKS, MOST_FILES, Door


class Caller:
    """A connection; it knows whether it was turned out."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_out = False

    def turn_out(self) -> None:
        self.is_out = True


class Later:
    """An event loop that calls when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()

    def run(self) -> None:
        while self.calls:
            self.turn()


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def door(later: Later) -> Door:
    return Door(MOST_FILES, later)


def crowd(door: Door, number: int, address: Callable[[int], str]) -> list[Caller]:
    callers = [Caller(address(i)) for i in range(number)]
    for caller in callers:
        door.enter(caller)
    return callers


def test_of_one_address_those_that_have_said_nothing_for_longest_make_room(door: Door, later: Later) -> None:
    callers = crowd(door, door.most_per_address + 10, lambda _: "10.0.0.1")
    later.run()
    assert [caller.is_out for caller in callers] == [True] * 10 + [False] * door.most_per_address


def test_who_has_shown_a_token_is_not_counted_and_never_turned_out(door: Door, later: Later) -> None:
    reader = Caller("10.0.0.1")
    door.enter(reader)
    assert door.welcome(reader)
    crowd(door, 5_000, lambda _: "10.0.0.1")
    later.run()
    assert not reader.is_out
    assert door.strangers == door.most_per_address


def test_a_reader_that_comes_in_a_flood_has_the_time_to_show_its_token(door: Door, later: Later) -> None:
    crowd(door, 2_000, lambda _: "10.0.0.1")
    reader = Caller("10.0.0.1")
    door.enter(reader)
    crowd(door, 2_000, lambda _: "10.0.0.1")
    assert not reader.is_out
    assert door.welcome(reader)
    later.run()
    assert not reader.is_out


def test_a_reader_that_comes_while_others_are_turned_out_has_the_time_to_show_its_token(
    door: Door, later: Later
) -> None:
    crowd(door, 2_000, lambda _: "10.0.0.1")
    for _ in range(LOOKS - 1):
        later.turn()
    reader = Caller("10.0.0.1")
    door.enter(reader)
    crowd(door, 2_000, lambda _: "10.0.0.1")
    for _ in range(LOOKS - 1):  # the loop of a busy server comes to it two turns later
        later.turn()
    assert not reader.is_out
    assert door.welcome(reader)
    later.run()
    assert not reader.is_out
    assert door.strangers == door.most_per_address


def test_in_all_the_address_that_has_sent_most_makes_room_first(door: Door, later: Later) -> None:
    alone = Caller("192.0.2.7")
    door.enter(alone)
    crowd(door, 4 * door.most_strangers, lambda i: f"10.0.0.{i % 50}")
    later.run()
    assert not alone.is_out
    assert door.strangers == door.most_strangers


def test_the_addresses_of_one_customer_of_ipv6_count_as_one(door: Door, later: Later) -> None:
    crowd(door, 3 * door.most_per_address, lambda i: f"2001:db8::{i:x}")
    later.run()
    assert door.strangers == door.most_per_address
    crowd(door, 10, lambda _: "2001:db8:1::1")
    assert door.strangers == door.most_per_address + 10


def test_known_guests_are_as_many_as_there_are_files_for(later: Later) -> None:
    door = Door(1024, later)
    callers = crowd(door, 1024, lambda i: f"10.0.{i // 256}.{i % 256}")
    let_in = [caller for caller in callers if door.welcome(caller)]
    assert len(let_in) == door.most_known
    assert 2 * door.most_known + door.most_strangers < 1024
    door.leave(let_in[0])
    assert door.welcome(callers[-1])


def test_who_has_left_is_not_counted(door: Door) -> None:
    callers = crowd(door, 10, lambda _: "10.0.0.1")
    for caller in callers:
        door.leave(caller)
        door.leave(caller)
    assert door.strangers == 0
