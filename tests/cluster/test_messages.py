"""What a task says: messages in the job's history, and everything that it prints in its attempt's log."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, MessageQuotaExceeded
from disco_rq.attempt.log import LOG_CAP
from disco_rq.runtime import data_err, msg
from tests.cluster.small_jobs import data_dir, death, is_first_attempt, run


def messages(job: Job) -> list[str]:
    """What the job itself said: in these tests it begins every message with ``say``."""
    return [message for _, (_, _, message) in job.events() if message.startswith("say")]


def log_of(disco: Disco, job: Job, attempt: str = "map-0.1") -> str:
    return (data_dir(disco, job) / f"{attempt}.log").read_text()


# -- the history


def test_a_message_comes_with_the_node_that_said_it(disco: Disco) -> None:
    job = run(disco, map=lambda e, params: msg(f"say {e}"))

    [(host, message)] = [
        (host, message) for _, (_, host, message) in job.events() if message.startswith("say")
    ]
    assert (host, message) == ("localhost", "say entry")


def test_a_message_is_cut_at_255_characters(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        msg("say" + "x" * 252)
        msg("say" + "é" * 253)
        msg("say" + "\udcff" * 300)

    exact, longer, unreadable = messages(run(disco, map=map))

    assert exact == "say" + "x" * 252
    assert longer == "say" + "é" * 252
    assert len(unreadable) == 255


def test_a_message_is_one_line(disco: Disco) -> None:
    job = run(disco, map=lambda e, params: msg("say a\nb\r\nc\rd\u2028e\n"))

    assert messages(job) == ["say a b c d e"]


def test_a_message_may_be_any_object_and_any_text(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "latin-1").write_bytes(b"caf\xe9\n")

    def map(e: str, params: Any) -> None:
        msg("say ключ ☃")
        msg(f"say {e}")  # a line of the input that is no UTF-8
        msg(5)

    job = run(disco, input=[str(tmp_path / "latin-1")], map=map)

    assert messages(job) == ["say ключ ☃", "say caf\\udce9"]
    assert "5" in [message for _, (_, _, message) in job.events()]


def send_25(e: str, params: Any) -> None:
    for i in range(25):
        msg(f"say {e} {i}")


def test_a_job_sends_ten_messages_a_second_over_all_its_tasks_and_the_rest_is_counted(disco: Disco) -> None:
    job = run(disco, input=[f"raw://{i}" for i in range(6)], map=send_25)

    sent = Counter(int(when) for _, (when, _, message) in job.events() if message.startswith("say"))
    assert max(sent.values()) == 10
    assert job.jobinfo()["msgs_dropped"] == 150 - sent.total()
    assert job.jobinfo()["msgs_dropped"] > 0


def test_the_quota_is_each_jobs_own(disco: Disco) -> None:
    run(disco, map=send_25)

    assert messages(run(disco, map=lambda e, params: msg("say it"))) == ["say it"]


def test_ten_messages_are_within_the_quota_of_a_job_that_asked_to_fail(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        for i in range(10):
            msg(f"say {i}")

    assert len(messages(run(disco, map=map, msg_overflow="fail"))) == 10


def test_too_many_messages_end_a_job_that_asked_for_it(disco: Disco) -> None:
    text = death(disco, map=send_25, msg_overflow="fail")

    assert "MessageQuotaExceeded" in text.splitlines()[0]


def test_too_many_messages_end_it_even_if_the_error_is_caught(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        with contextlib.suppress(MessageQuotaExceeded):
            send_25(e, params)

    assert "MessageQuotaExceeded" in death(disco, map=map, msg_overflow="fail").splitlines()[0]


def test_the_systems_own_events_never_count(disco: Disco, tmp_path: Path) -> None:
    # given a job with an event for every entry, and ten messages
    path = tmp_path / "lines"
    path.write_text("".join(f"{i}\n" for i in range(40)))

    def map(e: str, params: Any) -> None:
        if int(e) >= 30:
            msg(f"say {e}")

    job = run(disco, input=[str(path)], map=map, status_interval=1, msg_overflow="fail")

    history = [message for _, (_, _, message) in job.events()]
    assert len([message for message in history if message.endswith("entries mapped")]) == 40
    assert len(messages(job)) == 10
    assert job.jobinfo()["msgs_dropped"] == 0


# -- the log of an attempt


def test_all_that_a_task_prints_is_in_its_attempts_log_and_no_message(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        print("by print")
        print("by stderr", file=sys.stderr)
        logging.getLogger("mine").warning("by logging")
        logging.info("by the root logger")
        subprocess.run(["sh", "-c", "echo by a child; echo its stderr >&2"], check=True)
        os.write(1, b"by the descriptor\n")
        print("lone \udcff surrogate")
        for i in range(50):
            print("many", i)

    job = run(disco, map=map, msg_overflow="fail")

    log = log_of(disco, job)
    for text in ("by print", "by stderr", "WARNING mine: by logging", "by the root logger"):
        assert text in log
    for text in ("by a child", "its stderr", "by the descriptor", "lone \\udcff surrogate", "many 49"):
        assert text in log
    assert not [message for _, (_, _, message) in job.events() if "by " in message or "many" in message]
    assert job.jobinfo()["msgs_dropped"] == 0


def test_a_log_is_capped_at_64_kib_and_keeps_its_beginning_and_its_end(disco: Disco) -> None:
    def map(e: str, params: Any) -> None:
        print("the first line")
        for i in range(20_000):
            print(f"line {i:06}")
        print("the last line")

    log = log_of(disco, run(disco, map=map))

    assert LOG_CAP - 100 < len(log) <= LOG_CAP == 64 << 10
    assert log.startswith("the first line\nline 000000\n")
    assert log.endswith("line 019999\nthe last line\n")
    assert "bytes left out" in log


def test_each_attempt_has_a_log_of_its_own(disco: Disco, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")

    def map(e: str, params: Any) -> None:
        first = e == "again" and is_first_attempt(mark)
        print(e, "first" if first else "last")
        if first:
            data_err("once")

    job = run(disco, input=["raw://again", "raw://once"], map=map)

    assert log_of(disco, job, "map-0.1") == "again first\n"
    assert log_of(disco, job, "map-0.2") == "again last\n"
    assert log_of(disco, job, "map-1.1") == "once last\n"


def test_a_reduce_has_a_log_and_a_silent_task_has_none(disco: Disco) -> None:
    def reduce(iter: Iterator[Any], params: Any) -> None:
        print("reduced")

    job = run(disco, map=lambda e, params: [(e, 1)], reduce=reduce)

    assert log_of(disco, job, "reduce-0.1") == "reduced\n"
    assert not (data_dir(disco, job) / "map-0.1.log").exists()


@pytest.mark.parametrize("how", ["exception", "killed"])
def test_the_log_of_an_attempt_that_failed_is_kept(disco: Disco, how: str) -> None:
    def map(e: str, params: Any) -> None:
        print("last words", flush=True)
        if how == "killed":
            os.kill(os.getpid(), 9)
        raise ValueError("the end")

    job = disco.new_job("dies", ["raw://1"], map=map, max_failures=0)

    assert job.results(timeout=20)[0] == "dead"
    assert log_of(disco, job) == "last words\n"
