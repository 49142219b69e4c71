"""A child's words and its end, with pidfds and without them."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from disco_rq.machine import children as children_module
from disco_rq.machine.children import ChildWatch, has_children, has_ended, wait_for_words


@pytest.fixture(params=["with a pidfd", "without one", "without waitid either"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "with a pidfd":
        monkeypatch.setattr(children_module, "pidfd_open", None)
    if request.param == "without waitid either":
        monkeypatch.setattr(children_module, "waitid", None)


class Child:
    """A forked process that does something and waits for its end; a grandchild holds its socket."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self.ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setpgid(0, 0)
                if os.fork():
                    act(theirs)
                time.sleep(60)
            finally:
                os._exit(1)  # never on into the tests
        with suppress(OSError):  # it was first
            os.setpgid(self.pid, self.pid)
        theirs.close()
        self.watch = ChildWatch(self.pid, self.ours.fileno())

    def close(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.watch.close()
        self.ours.close()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    made: list[Child] = []
    yield made
    for child in made:
        child.close()


def say(theirs: socket.socket) -> None:
    theirs.send(b"+")


def die(_: socket.socket) -> None:
    os._exit(3)


def say_and_die(theirs: socket.socket) -> None:
    say(theirs)
    os._exit(3)


def test_words_are_told(children: list[Child]) -> None:
    children.append(Child(say))
    assert children[0].watch.wait() == "words"
    assert not has_ended(children[0].pid)
    assert wait_for_words(children[0].ours, 0.0)


def test_an_end_is_told_although_others_hold_the_socket(children: list[Child]) -> None:
    children.append(Child(die))
    assert children[0].watch.wait(10) == "end"
    assert has_ended(children[0].pid)
    assert children[0].watch.wait(10) == "end", "it was not taken by looking"


def test_words_before_the_end_come_first(children: list[Child]) -> None:
    children.append(Child(say_and_die))
    assert children[0].watch.wait(10) == "words"
    children[0].ours.recv(1)
    assert children[0].watch.wait(10) == "end"


def test_nothing_is_told_of_a_child_that_is_busy(children: list[Child]) -> None:
    children.append(Child(lambda _: None))
    assert children[0].watch.wait(0.05) == ""
    assert not has_ended(children[0].pid)


def test_a_process_knows_whether_it_has_children() -> None:
    reading, writing = os.pipe()
    looking = os.fork()  # this process may have children of other tests
    if looking == 0:
        try:
            before = has_children()
            if not (child := os.fork()):
                time.sleep(60)
            os.write(writing, bytes([before, has_children()]))
            os.kill(child, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(looking, 0)
    assert os.read(reading, 2) == bytes([False, True])
    os.close(reading)
    os.close(writing)
