"""``AsyncDisco``: the client for asyncio, on real clusters."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from disco_rq import (
    AsyncDisco,
    AsyncJob,
    ConnectionLost,
    Disco,
    DiscoError,
    Job,
    JobArgumentError,
    JobError,
    Params,
    UnknownJob,
)
from disco_rq.errors import SettingsError
from disco_rq.runtime import err, put
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.loops import run_coroutine
from tests.nodes import NodeCluster


def gated(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """Ends when the file of its name is there."""
    while not Path(params.directory, entry).exists():
        time.sleep(0.005)
    yield entry, 1


def one(entry: str, params: Any) -> list[tuple[str, int]]:
    put(f"key:{entry}", entry)
    return [(entry, 1)]


def dies(entry: str, params: Any) -> list[tuple[str, int]]:
    return err("that was it")


class Gated(Job):
    input = ("raw://a", "raw://b")
    map = staticmethod(gated)


def inputs(entries: str) -> list[str]:
    return [f"raw://{entry}" for entry in entries]


async def running(disco: AsyncDisco, directory: Path, entries: str = "a", **arguments: Any) -> AsyncJob:
    return await disco.new_job(
        "gated", inputs(entries), map=gated, params=Params(directory=str(directory)), **arguments
    )


def test_as_the_readme_has_it(disco: Disco) -> None:
    async def story() -> Any:
        async with AsyncDisco(disco.url) as client:
            job = await client.new_job("one", inputs("abc"), map=one, nr_reduces=0)
            addresses = await job
            return addresses, [pair async for pair in job], await job.oob_get("key:b"), await job.jobinfo()

    addresses, pairs, value, info = run_coroutine(story())
    assert len(addresses) == 3
    assert pairs == [("a", 1), ("b", 1), ("c", 1)]
    assert value == "b"
    assert info["active"] == "ready"


def test_it_starts_a_cluster_of_its_own_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISCO_RQ_REDIS", raising=False)

    async def story() -> Any:
        async with AsyncDisco(workers=1) as client:
            job = await client.new_job("one", inputs("a"), map=one)
            return [pair async for pair in job], await client.http_url()

    pairs, url = run_coroutine(story())
    assert pairs == [("a", 1)]
    assert url.startswith("http://")


@pytest.mark.parametrize("sync", [Job, Disco])
def test_it_has_all_methods(sync: type) -> None:
    """But what makes one, and ``replay``, which runs a task in the directory of this process."""
    other: type = {Job: AsyncJob, Disco: AsyncDisco}[sync]
    public = {name for name in dir(sync) if not name.startswith("_")}
    assert public - set(dir(other)) <= {"submit", "is_embedded", "replay"}


def test_what_ends_a_wait(disco: Disco, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncDisco(disco.url) as client:
            job = await running(client, tmp_path)
            with pytest.raises(JobError, match=r"Timeout: job .* is still active after 0.1 s; it goes on"):
                await job.wait(0.1)
            assert await job.results(0) == ("active", [])
            assert await client.results(job.name, 0) == ("active", [])
            (tmp_path / "a").touch()
            [(name, (status, addresses))], active = await client.results([job], 60)
            assert (name, status, len(addresses), active) == (job.name, "ready", 1, [])
            dead = await client.new_job("dies", inputs("a"), map=dies)
            with pytest.raises(JobError, match="that was it"):
                await dead
            with pytest.raises(JobError, match="that was it"):
                _ = [pair async for pair in dead.stream()]
            await job.purge()
            with pytest.raises(UnknownJob):
                await job
            with pytest.raises(UnknownJob):
                await client.job(job.name)
            with pytest.raises(JobArgumentError, match="sortt"):
                await client.new_job("wrong", inputs("a"), map=one, sortt=True)  # type: ignore[call-arg]

    run_coroutine(story())


def test_a_job_that_is_purged_ends_the_wait_for_it(disco: Disco, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncDisco(disco.url) as client:
            job = await running(client, tmp_path)
            waiting = asyncio.ensure_future(job.wait())
            await asyncio.sleep(0.1)
            await client.purge(job.name)
            with pytest.raises((UnknownJob, JobError)):
                await asyncio.wait_for(waiting, 30)

    run_coroutine(story())


def test_history_and_results_are_followed(disco: Disco, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncDisco(disco.url) as client:
            job = await client.submit(Gated, params=Params(directory=str(tmp_path)))
            stream = job.stream()
            told = asyncio.ensure_future(_all(job.events(follow=True)))
            (tmp_path / "b").touch()
            assert await anext(stream) == ("b", 1)
            assert (await job.jobinfo())["active"] == "active"
            (tmp_path / "a").touch()
            assert await anext(stream) == ("a", 1)
            assert await _all(stream) == []
            assert await _all(client.stream(job.name)) == [("b", 1), ("a", 1)]
            events = await told
            assert events[-1][1][2] == "Job is ready"
            assert events == await _all(client.events(job.name))
            assert await _all(job.bad_entries()) == []
            assert (await job.to_arrow()).column_names == ["key", "value"]

    run_coroutine(story())


async def _all(items: Any) -> list[Any]:
    return [item async for item in items]


# -- cancellation


@pytest.mark.parametrize("how", ["leave", "kill"])
@pytest.mark.parametrize("said_by", ["client", "wait"])
def test_a_wait_that_is_cancelled_leaves_or_kills_its_job(
    disco: Disco, tmp_path: Path, how: Any, said_by: str
) -> None:
    async def story() -> str:
        async with AsyncDisco(disco.url, on_cancel=how if said_by == "client" else "leave") as client:
            job = await running(client, tmp_path)
            waiting = asyncio.ensure_future(job.wait(on_cancel=how if said_by == "wait" else None))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            return str((await job.jobinfo())["active"])

    assert run_coroutine(story()) == {"leave": "active", "kill": "dead"}[how]
    (tmp_path / "a").touch()


def test_a_time_limit_of_asyncio_cancels_too(disco: Disco, tmp_path: Path) -> None:
    async def story() -> str:
        async with AsyncDisco(disco.url, on_cancel="kill") as client:
            job = await running(client, tmp_path)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await job
            return str((await job.jobinfo())["active"])

    assert run_coroutine(story()) == "dead"


def test_a_submit_that_is_cancelled_leaves_no_job_that_goes_on_where_it_is_to_kill(
    disco: Disco, tmp_path: Path
) -> None:
    async def story() -> list[Any]:
        async with AsyncDisco(disco.url, on_cancel="kill") as client:
            submitting = asyncio.ensure_future(
                client.new_job("cancelled", inputs("a"), map=gated, params=Params(directory=str(tmp_path)))
            )
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting
            return [status for _, status, name in await client.joblist() if name.startswith("cancelled@")]

    assert run_coroutine(story()) in ([], ["dead"])


# -- many at once, and deaths


@pytest.mark.timeout(400)
@pytest.mark.long
def test_a_thousand_jobs_are_awaited_at_once_in_one_loop(disco: Disco) -> None:
    async def one_of(client: AsyncDisco, number: int) -> list[Any]:
        job = await client.new_job("many", [f"raw://{number}"], map=lambda e, p: [(int(e), 1)])
        await job
        return [pair async for pair in job]

    async def story() -> tuple[list[Any], int]:
        async with AsyncDisco(disco.url) as client:
            most = 0

            async def count() -> None:
                nonlocal most
                while True:
                    most = max(most, threading.active_count())
                    await asyncio.sleep(0.05)

            counting = asyncio.ensure_future(count())
            found = await asyncio.gather(*(one_of(client, number) for number in range(1000)))
            counting.cancel()
            return found, most

    before = threading.active_count()
    found, most = run_coroutine(story())
    assert found == [[(number, 1)] for number in range(1000)]
    assert most - before <= 10  # a loop of its own, eight threads, one to spare


def test_waits_go_on_over_the_deaths_of_redis_and_master(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    gate, is_open = GatedJob(nodes.disco, tmp_path / "gates", max_failures=9), threading.Event()

    async def story() -> tuple[int, int, int]:
        async with AsyncDisco(nodes.url) as client:
            job = await client.job(gate.job.name)
            told = (job.wait(), _all(job.stream()), _all(job.events(follow=True)))
            is_open.set()
            results, pairs, events = await asyncio.wait_for(asyncio.gather(*told), 90)
            return len(results), len(pairs), len({offset for offset, _ in events}) - len(events)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asyncio.run, story())
        wait_until(lambda: gate.traces("map") and is_open.is_set())
        nodes.kill_redis()
        time.sleep(0.5)  # it is away for so long
        nodes.start_redis()
        nodes.masters[0].kill()
        nodes.master()
        gate.open_gate("maps", "reduces")
        assert waiting.result() == (2, 4, 0)


def test_a_server_that_is_not_there_is_named() -> None:
    async def story() -> None:
        async with AsyncDisco("redis://:secret@127.0.0.1:1") as _:
            pass

    with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1") as caught:
        run_coroutine(story())
    assert "secret" not in str(caught.value)


def test_a_client_that_was_closed_says_so(disco: Disco) -> None:
    async def story() -> None:
        client = AsyncDisco(disco.url)
        await client.joblist()
        await client.close()
        await client.close()
        with pytest.raises(DiscoError, match="was closed"):
            await client.joblist()

    run_coroutine(story())
    with pytest.raises(SettingsError, match="on_cancel"):
        AsyncDisco(on_cancel="stop")  # type: ignore[arg-type]
