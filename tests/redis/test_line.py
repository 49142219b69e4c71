"""The line for short commands: what is asked over it is answered, or answered all the same without it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from redis.exceptions import ResponseError

from disco_rq.errors import ConnectionLost
from disco_rq.machine.redisserver import PrivateServer
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.line import Arg

LEAD: tuple[str, list[str], list[Arg]] = (
    "lead_cluster",
    [keys.LEADER, keys.MASTER],
    ["token", 1000, "here:1", "take"],
)


def test_answers_come_in_the_order_of_the_questions(connection: Connection) -> None:
    connection.redis.mset({"a": "1", "b": "2"})

    assert connection.line.ask([("GET", "a"), ("GET", "missing"), ("GET", "b")]) == [b"1", None, b"2"]


def test_a_script_that_the_server_does_not_know_is_loaded(connection: Connection) -> None:
    connection.redis.script_flush()

    assert connection.run_many([LEAD, LEAD]) == [1, 1]


def test_what_the_server_refuses_is_raised(connection: Connection) -> None:
    connection.redis.set("text", "a")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        connection.read("HGETALL", "text")

    assert connection.read("GET", "text") == b"a"


def test_what_is_read_together_is_of_one_moment_with_the_line_or_without(connection: Connection) -> None:
    connection.redis.hset("hash", mapping={"a": "1"})
    wanted: list[list[Arg]] = [["HGET", "hash", "a"], ["EXISTS", "missing"], ["HGET", "hash", "missing"]]

    assert connection.read_together(*wanted) == [b"1", 0, None]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(connection.read_together, *wanted).result() == [b"1", 0, None]


@pytest.mark.parametrize("refused", [("HGETALL", "text"), ("HGETALL",)])
def test_one_refusal_among_what_is_read_together_is_raised(
    refused: tuple[str, ...], connection: Connection
) -> None:
    connection.redis.set("text", "a")

    with pytest.raises(ResponseError):
        connection.read_together(("GET", "text"), refused)

    assert connection.read_together(("GET", "text")) == [b"a"]


def test_it_is_the_line_of_one_thread_and_others_are_answered_without_it(connection: Connection) -> None:
    connection.run(*LEAD)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(connection.line.ask, [("PING",)]).result() is None
        assert pool.submit(connection.run, *LEAD).result() == 1


def test_a_line_that_the_server_cut_is_made_again(connection: Connection) -> None:
    connection.read("PING")
    connection.redis.client_kill_filter(_type="normal", skipme=True)

    assert connection.read("PING") == b"PONG"
    assert connection.line.ask([("PING",)]) == [b"PONG"]


def test_threads_may_ask_at_the_same_time(connection: Connection) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for i in range(200):
            if connection.read("ECHO", f"{number}:{i}") != f"{number}:{i}".encode():
                wrong.append((number, i))

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class TimeUp(Exception):
    """The time limit of a task, which strikes anywhere."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def strike(_signum: int, _frame: FrameType | None) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_answer_is_left_for_the_next_who_asks_when_a_time_limit_strikes(connection: Connection) -> None:
    for microseconds in range(20, 400, 4):
        try:
            with alarm(microseconds / 1e6):
                for _ in range(200):  # what is raised in a callback of the library's is lost
                    connection.read("ECHO", "before")
        except TimeUp:
            pass
        assert connection.read("ECHO", f"after {microseconds}") == f"after {microseconds}".encode()
    assert connection.line.ask([("ECHO", "still there")]) == [b"still there"]


def test_a_line_that_was_opened_before_a_fork_is_the_childs(connect: Callable[[], Connection]) -> None:
    # given a connection that is opened for a child, and given away
    connection = connect()
    connection.line.open()
    connection.redis.connection_pool.disconnect()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.read(ours, 1)
            status = int(connection.line.ask([("SET", "child", "was here")]) != [b"OK"])
        finally:
            os._exit(status)
    connection.line.give_away()
    os.write(theirs, b"x")  # only now
    # then the child's commands go through, and the parent may ask, too, over one of its own
    assert os.waitpid(pid, 0)[1] == 0
    assert connection.read("GET", "child") == b"was here"
    for end in (ours, theirs):
        os.close(end)


def test_a_server_that_is_away_is_told_when_the_patience_is_over(short_dir: Path) -> None:
    server = PrivateServer(short_dir)
    connection = Connection(server.url, patience_s=0.3)
    connection.read("PING")
    server.stop()

    connection.line.open()  # who only prepares for a child is not held up
    with pytest.raises(ConnectionLost, match=r"cannot be reached"):
        connection.read("PING")
    connection.close()


def test_a_closed_connection_stays_closed(connection: Connection) -> None:
    connection.read("PING")
    connection.close()

    with pytest.raises(ConnectionLost, match="was closed"):
        connection.read("PING")
