"""What cannot be sent to the workers is named: argument, variable, kind, and what to do."""

from __future__ import annotations

import functools
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import Unshippable
from disco_rq.model import Functions
from disco_rq.packing import JobSeal, pack_functions


def refusal(params: Any = None, **functions: Any) -> str:
    with pytest.raises(Unshippable) as caught:
        pack_functions(Functions(**functions), params, JobSeal("j", None))
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__cause__ is None
    return text


def using(thing: Any) -> Callable[..., Any]:
    def map(e: Any, params: Any) -> Any:
        return [thing, e]

    return map


@pytest.mark.parametrize("mode", ["r", "w", "rb", "wb"])
def test_an_open_file(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "f"
    path.touch()
    with path.open(mode) as file:
        text = refusal(map=using(file))
    assert text.startswith(
        "map cannot be sent to the workers: its closure variable `thing` is an open file ("
    )
    assert text.endswith("; open it inside the function")


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading.Condition, threading.Event])
def test_a_lock(make: Callable[[], Any]) -> None:
    assert "closure variable `thing` is a lock" in refusal(map=using(make()))


def test_a_socket() -> None:
    with closing(socket.socket()) as sock:
        assert "`thing` is a socket (socket.socket); connect inside the function" in refusal(
            reduce=using(sock)
        )


def test_a_generator_as_params() -> None:
    text = refusal(params=(n for n in range(3)))
    assert text.startswith(
        "params cannot be sent to the workers: it is a generator (generator); make a list of it"
    )


def test_a_thread() -> None:
    assert "`thing` is a thread (threading.Thread)" in refusal(map=using(threading.Thread()))


def test_a_database_connection_behind_a_helper() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        helper = using(db)
        text = refusal(combiner=using(helper), map=len)
    assert text.startswith(
        "combiner cannot be sent to the workers: its closure variable `thing`, its closure variable `thing` "
        "is a connection (sqlite3.Connection); connect inside the function"
    )


LOCK = threading.Lock()


class Holder:
    def __init__(self) -> None:
        self.things = {"lock": LOCK}

    def method(self, e: Any, params: Any) -> Any:
        return self.things


def test_a_global() -> None:
    assert "map cannot be sent to the workers: its global `LOCK` is a lock" in refusal(map=lambda e, p: LOCK)


def test_inside_objects_and_containers() -> None:
    text = refusal(map=Holder().method)
    assert "its object, its attribute `things`, its item ['lock'] is a lock" in text
    assert "its argument 0, its item [1] is a lock" in refusal(map=functools.partial(using(1), [1, LOCK]))


def test_a_default_value() -> None:
    def map(e: Any, params: Any, *, lock: Any = LOCK) -> Any:
        return lock

    assert "its default of `lock` is a lock" in refusal(map=map)


def test_an_endless_nesting() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert refusal(params={"deep": deep}).startswith(
        "params cannot be sent to the workers: its item ['deep'] is nested too deeply"
    )
    while deep:  # taken apart by hand, as its destructor would go as deep
        deep = deep[0]


class Grumpy:
    def __reduce__(self) -> Any:
        raise RuntimeError("not\nme")


def test_an_error_of_the_users_own() -> None:
    assert "closure variable `thing` is of type" in refusal(map=using(Grumpy()))
    assert "Grumpy (not me); make it inside the function" in refusal(map=using(Grumpy()))


def test_a_local_import_that_fails_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_when_imported.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)

    def map(e: Any, params: Any) -> Iterator[Any]:
        import breaks_when_imported  # type: ignore[import-not-found]

        yield breaks_when_imported

    assert (
        "map cannot be sent to the workers: import of the local module breaks_when_imported fails here: "
        in (refusal(map=map))
    )
