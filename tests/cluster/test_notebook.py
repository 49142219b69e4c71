"""The notebook of the examples, executed; and an interrupted cell, after which nothing is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import disco_rq.examples
from tests.loops import run_coroutine

nbformat: Any = pytest.importorskip("nbformat")
nbclient: Any = pytest.importorskip("nbclient")

NOTEBOOK = Path(*disco_rq.examples.__path__) / "notebook.ipynb"
WAIT_S = 60
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
"""Of the notebook's own packages."""

ENDLESS = """
import time
from disco_rq import Disco
disco = Disco(workers=1)
def endless(line, params):
    put("began", 1)
    while True:
        time.sleep(0.05)
job = disco.new_job("endless", ["raw://a"], map=endless)
job.wait()
"""


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    """By their ids, as they are when all have run."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=WAIT_S, kernel_name="python3")
    with nothing_left():
        run_coroutine(client.async_execute())
    return {cell["id"]: cell for cell in notebook["cells"]}


@contextmanager
def nothing_left() -> Iterator[None]:
    """Of the processes that begin below this one meanwhile; other tests here have a cluster, too."""
    before = ours()
    yield
    deadline = time.monotonic() + WAIT_S
    while left := ours() - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def ours() -> set[psutil.Process]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "disco" in " ".join(process.cmdline()):
                found.add(process)
    return found


def html_of(cell: Any) -> str:
    return "".join(output["data"].get("text/html", "") for output in cell["outputs"] if "data" in output)


def test_a_cluster_shows_its_nodes_and_its_page(cells: dict[str, Any]) -> None:
    assert "1 node, 2 slots" in html_of(cells["cluster"])
    assert 'href="http://' in html_of(cells["cluster"])


def test_a_job_that_is_waited_for_shows_its_progress_and_messages_in_place(cells: dict[str, Any]) -> None:
    html = html_of(cells["count"])

    assert html.count("<progress") == 2
    assert "words@" in html
    assert "ready" in html
    assert "('be', 2)" in str(cells["count"]["outputs"])


def test_a_dead_job_shows_the_line_of_the_cell_that_failed(cells: dict[str, Any]) -> None:
    html = html_of(cells["died"])

    assert "ValueError" in html
    assert "yield int(line), 1" in html


def test_an_interrupted_cell_kills_its_job_and_nothing_is_left() -> None:
    endless, after = nbformat.v4.new_code_cell(ENDLESS), nbformat.v4.new_code_cell("job.results()[0]")
    notebook = nbformat.v4.new_notebook(cells=[endless, after])
    client = nbclient.NotebookClient(notebook, timeout=WAIT_S, kernel_name="python3", allow_errors=True)

    async def interrupted() -> None:
        async with client.async_setup_kernel():
            running = asyncio.create_task(client.async_execute_cell(endless, 0))
            async with asyncio.timeout(WAIT_S):
                while "1 running" not in html_of(endless):
                    await asyncio.sleep(0.05)
            await client.km.interrupt_kernel()
            await running
            await client.async_execute_cell(after, 1)

    with nothing_left():
        run_coroutine(interrupted())

    assert "KeyboardInterrupt" in str(endless["outputs"])
    assert "dead" in html_of(endless)
    assert "dead" in str(after["outputs"])
