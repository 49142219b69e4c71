"""The process of a client: forks, odd directories, closed streams and keys pressed at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from disco_rq import Disco, result_iterator
from tests.cluster.conftest import wait_until

COUNT = [sys.executable, "-m", "disco_rq.cli", "run", "-q", "disco_rq.examples.wordcount"]
FORKED = """
import os, sys, time
from disco_rq import Disco, result_iterator
disco = Disco(workers=1)
def counted(disco):
    return list(result_iterator(disco.new_job("a", ["raw://b"], map=lambda e, p: [(e, 1)]).wait(timeout=30)))
counted(disco)
child = os.fork()
if child == 0:
    {child}
os.waitpid(child, {options})
print(counted(disco), flush=True)
{end}
"""


@pytest.mark.parametrize(
    "child",
    ["sys.exit(0)", "disco.close(); sys.exit(0)", "assert counted(disco) == [('b', 1)]; sys.exit(0)"],
    ids=["ends", "closes", "uses it"],
)
def test_a_forked_child_leaves_its_parents_cluster_alone(child: str) -> None:
    program = FORKED.format(child=child, options=0, end="")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[('b', 1)]\n", "")


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), 9)"], ids=["ends", "is killed"])
def test_a_forked_child_that_lives_on_does_not_keep_the_cluster(end: str, tmp_path: Path) -> None:
    program = FORKED.format(child="time.sleep(60); os._exit(0)", options="os.WNOHANG", end=end)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, start_new_session=True
    ) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"[('b', 1)]\n"
            assert owner.wait(timeout=20) == (-9 if end else 0)
            wait_until(lambda: not any(tmp_path.iterdir()))
        finally:
            os.killpg(owner.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["my tmp", "a#b?c%20d", "é ü", "x\"y'z", "$a;b&c", "[z]*", "x\udcff"])
def test_any_legal_directory_may_hold_the_embedded_cluster(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / name
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    with Disco(workers=1) as disco:
        job = disco.new_job("a", ["raw://b"], map=lambda e, p: [(e, 1)], reduce=lambda pairs, p: pairs)
        assert list(result_iterator(job.wait(timeout=30))) == [("b", 1)]
        job.purge()
    assert not any(directory.iterdir())


@pytest.mark.parametrize(
    ("closed", "status", "out", "err"),
    [
        ("2>&-", 0, "a\t2\nb\t1\n", ""),
        ("<&-", 0, "a\t2\nb\t1\n", ""),
        ("<&- 2>&-", 0, "a\t2\nb\t1\n", ""),
        (">&-", 1, "", "disco-rq: standard output is closed: there is nowhere to write\n"),
        ("<&- >&- 2>&-", 1, "", ""),
    ],
)
def test_closed_streams_lose_nothing_but_what_they_are_for(
    closed: str, status: int, out: str, err: str
) -> None:
    command = f"{' '.join(COUNT)} 'raw://a b a' {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


BEGINS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore both
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
from disco_rq import cli
open_streams = cli.open_closed_streams
def begin():  # the first step of its own: a key that comes sooner is Python's
    print("begins", flush=True)
    open_streams()
cli.open_closed_streams = begin
cli.main()
"""


@pytest.mark.parametrize("after_s", [0.1, 0.2, 0.3, 0.4, 0.6, 1.0])
@pytest.mark.parametrize("key", [signal.SIGINT, signal.SIGQUIT])
def test_a_key_at_any_time_ends_it_without_a_traceback(
    key: signal.Signals, after_s: float, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\ndef map(e, params):\n    time.sleep(30)\n    yield e, 1\n")
    command = [sys.executable, "-c", BEGINS, "run", "-q", str(program), "raw://a"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, process_group=0
    ) as pressed:
        assert pressed.stdout is not None
        assert pressed.stdout.readline() == b"begins\n"
        time.sleep(after_s)  # the moment at which the key is pressed is the subject
        os.killpg(pressed.pid, key)
        _, said = pressed.communicate(timeout=30)
    assert b"Traceback" not in said
    assert pressed.returncode != 0
    wait_until(lambda: {entry.name for entry in tmp_path.iterdir()} - {"__pycache__"} == {"program.py"})
