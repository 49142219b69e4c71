"""Nodes that cannot see each other's files: all that one has of another comes over HTTP."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import DataError, Disco, Job, JobError, result_iterator
from disco_rq.func import chain_reader, kvgroup, sum_combiner
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.outputs.addresses import split_address
from disco_rq.outputs.datadir import NODE_ID
from disco_rq.runtime import put, this_host, this_name, this_partition
from disco_rq.settings import PREFIX
from disco_rq.store import keys
from tests.cluster.conftest import wait_until
from tests.cluster.cutting_proxy import CuttingProxy, proxy_to
from tests.cluster.programs import data_server_of, program, running_node
from tests.services import free_port

SECRET = "one for all"
MANY = 400
"""Times a kilobyte that no compression makes smaller: the partition of one map."""


@dataclass
class Cluster:
    disco: Disco
    nodes: dict[str, psutil.Process]
    data: dict[str, Path]
    proxies: dict[str, CuttingProxy]
    """Through which the nodes' files are read."""


@contextmanager
def serving_node(redis: str, name: str, data: Path) -> Iterator[tuple[psutil.Process, CuttingProxy]]:
    """A node behind a proxy, as it is told."""
    port = free_port()
    with proxy_to(port) as proxy:
        options = ("--data-http", f"127.0.0.1:{port}")
        with running_node(redis, name, data, options=options, secret=SECRET, data_url=proxy.url) as process:
            yield process, proxy


@pytest.fixture(autouse=True)
def nothing_is_cut_any_more(cluster: Cluster) -> Iterator[None]:
    yield
    for proxy in cluster.proxies.values():
        proxy.cut_next()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of one worker each; to each, and to the client, the others seem to be other machines."""
    data = {name: tmp_path_factory.mktemp(f"node-{name}") for name in "AB"}
    directory = private_directory()
    with pytest.MonkeyPatch.context() as patch, PrivateServer(directory) as server:
        patch.setenv(PREFIX + "SECRET", SECRET)
        with (
            program("master", redis=server.url),
            serving_node(server.url, "A", data["A"]) as (a, before_a),
            serving_node(server.url, "B", data["B"]) as (b, before_b),
            Disco(server.url) as disco,
        ):
            wait_until(lambda: disco.session.connection.redis.exists(keys.LEADER))
            # Whoever has worked has told all of itself, and does not write that file any more.
            begun = str(tmp_path_factory.mktemp("begun"))
            disco.new_job("first", ["raw://a"] * 4, map=on_both, params=begun).wait(timeout=30)
            for root in data.values():
                (root / NODE_ID).unlink()
            yield Cluster(disco, {"A": a, "B": b}, data, {"A": before_a, "B": before_b})
    shutil.rmtree(directory)


def wait_for_the_other_node(directory: str) -> None:
    """So that each of them has maps."""
    Path(directory, f"{this_host()}.ran").touch()
    while len(list(Path(directory).glob("*.ran"))) < 2:
        time.sleep(0.005)


def on_both(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """Words; a map waits until there is one on the other node, too."""
    wait_for_the_other_node(params)
    put(f"host:{this_partition()}", this_host())
    for word in entry.split():
        yield word, 1


def big(entry: str, params: Any) -> Iterator[tuple[int, bytes]]:
    wait_for_the_other_node(params)
    for n in range(MANY):
        yield n, os.urandom(1 << 10)


def sizes(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    yield this_host(), sum(len(value) for _, value in pairs)


def totals(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        yield word, sum(ones)


def word_count(cluster: Cluster, directory: Path, **arguments: Any) -> Job:
    inputs = ["raw://a b a", "raw://b c", "raw://a", "raw://d d d"]
    options: dict[str, Any] = {"map": on_both, "reduce": totals, "sort": True, "nr_reduces": 2} | arguments
    return cluster.disco.new_job("words", inputs, params=str(directory), **options)


COUNTS = {"a": 3, "b": 2, "c": 1, "d": 3}


def test_partitioned_results_on_both_nodes_are_merged_on_either(cluster: Cluster, tmp_path: Path) -> None:
    job = word_count(cluster, tmp_path, reduce=None, nr_reduces=3)
    results = job.wait(timeout=30)
    assert {split_address(address)[0] for address in results} == {"A", "B"}
    merged = cluster.disco.new_job("merged", results, reduce=totals, sort=True)
    assert dict(result_iterator(merged.wait(timeout=30))) == COUNTS
    assert merged.jobinfo()["redi"] == [0, 0, 3, 0]
    assert sorted(result_iterator(results)) == sorted(
        (word, 1) for word, count in COUNTS.items() for _ in range(count)
    )


def on_both_once(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    if entry == "d d d":
        raise ValueError(entry)
    yield from on_both(entry, params)


def test_a_retry_reads_what_it_keeps_from_the_nodes_of_the_old_job(cluster: Cluster, tmp_path: Path) -> None:
    first = word_count(cluster, tmp_path, map=on_both_once)
    with pytest.raises(JobError, match="d d d"):
        first.wait(timeout=30)
    done = first.jobinfo()["mapi"][2]

    job = first.retry(map=on_both)
    first.purge()

    assert dict(result_iterator(job.wait(timeout=30))) == COUNTS
    assert job.jobinfo()["kept"] == done
    assert len([key for key in job.oob_list() if key.startswith("host:")]) == 4


def test_profiles_of_other_nodes_come_through_their_data_servers(cluster: Cluster, tmp_path: Path) -> None:
    job = word_count(cluster, tmp_path, profile=True)
    job.wait(timeout=30)
    names = {name for _, _, name in job.profile_stats().stats}  # type: ignore[attr-defined]
    assert {"on_both", "totals"} <= names
    assert all(list(root.glob(f"{job.name}/map-*.prof")) for root in cluster.data.values())


def big_job(cluster: Cluster, directory: Path) -> Job:
    arguments: dict[str, Any] = {"map": big, "reduce": sizes, "nr_reduces": 1, "max_failures": 0}
    return cluster.disco.new_job("big", ["raw://x"] * 4, params=str(directory), **arguments)


def assert_big(job: Job) -> None:
    [(_, size)] = result_iterator(job.wait(timeout=60))
    assert size == 4 * MANY * 1024
    assert job.jobinfo()["mapi"] == [0, 0, 4, 0]


@pytest.mark.parametrize("options", [{}, {"combiner": sum_combiner}, {"sort": False}])
def test_a_reduce_gets_the_maps_of_all_nodes(
    cluster: Cluster, tmp_path: Path, options: dict[str, Any]
) -> None:
    job = word_count(cluster, tmp_path, **options)
    results = job.wait(timeout=60)
    assert {job.oob_get(key) for key in job.oob_list()} == {"A", "B"}
    found: dict[str, int] = {}
    for word, number in result_iterator(results):
        found[word] = found.get(word, 0) + number
    assert found == COUNTS
    assert job.jobinfo()["redi"] == [0, 0, 2, 0]


def test_a_client_reads_map_results_of_all_nodes_over_http(cluster: Cluster, tmp_path: Path) -> None:
    results = word_count(cluster, tmp_path, reduce=None, nr_reduces=0).wait(timeout=60)
    assert {split_address(address)[0] for address in results} == {"A", "B"}
    assert all(cluster.disco.session.locator.path(address) is None for address in results)
    opened: list[str] = []
    words = [word for word, _ in result_iterator(results, notifier=opened.append)]
    assert sorted(words) == ["a", "a", "a", "b", "b", "c", "d", "d", "d"]
    assert opened == results


def test_a_job_reads_the_results_of_another_from_all_nodes(cluster: Cluster, tmp_path: Path) -> None:
    first = word_count(cluster, tmp_path, reduce=None, nr_reduces=0).wait(timeout=60)
    # every node reads the other's results
    second = cluster.disco.new_job(
        "chained",
        list(first),
        map=lambda pair, params: [pair],
        map_reader=chain_reader,
        reduce=totals,
        sort=True,
        nr_reduces=1,
        scheduler={"force_remote": True},
    )
    assert dict(result_iterator(second.wait(timeout=60))) == COUNTS


def test_a_purged_result_is_said_to_be_gone(cluster: Cluster, tmp_path: Path) -> None:
    job = word_count(cluster, tmp_path)
    results = job.wait(timeout=60)
    job.purge()
    with pytest.raises(DataError, match="gone from its node") as caught:
        list(result_iterator(results))
    assert caught.value.url == results[0]


def test_a_fetch_that_is_cut_goes_on_where_it_was_cut(cluster: Cluster, tmp_path: Path) -> None:
    for proxy in cluster.proxies.values():
        proxy.cut_next(0, 100_000, 7, 300_000)
    job = big_job(cluster, tmp_path)
    assert_big(job)
    # the reduce fetched from the node that it was not on
    assert max(proxy.cut for proxy in cluster.proxies.values()) == 4
    assert job.jobinfo()["redi"] == [0, 0, 1, 0]


@contextmanager
def thief() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that somebody tells Redis to be a node's, and what it is sent."""
    sent: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append((self.path, self.headers["Authorization"]))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"false")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


def test_whoever_else_is_told_to_be_a_node_gets_what_opens_nothing_and_is_not_believed(
    cluster: Cluster, tmp_path: Path
) -> None:
    redis = cluster.disco.session.connection.redis
    urls = {node: redis.hget(keys.node(node), "url") for node in "AB"}
    with thief() as (url, sent):
        for node in "AB":
            redis.hset(keys.node(node), "url", url)
        try:
            with pytest.raises(
                JobError, match=f"{url} does not prove that it is the data server of its node"
            ):
                big_job(cluster, tmp_path).wait(timeout=60)
        finally:
            for node, told in urls.items():
                redis.hset(keys.node(node), "url", told or "")
    # what it was sent opens neither of them
    assert sent
    for path, token in {*sent}:
        for told in urls.values():
            assert isinstance(told, bytes)
            asked = urllib.request.Request(f"{told.decode()}{path}", headers={"Authorization": token})
            with pytest.raises(urllib.error.HTTPError, match="401") as refused:
                urllib.request.urlopen(asked, timeout=10)
            refused.value.close()


def test_all_maps_whose_files_a_node_has_lost_run_again(cluster: Cluster, tmp_path: Path) -> None:
    def lose_them(entry: str, params: Any) -> Iterator[tuple[str, int]]:
        """The last map takes away what the other node has."""
        yield from on_both(entry, params[0])
        if entry == "last" and not Path(params[0], "lost").exists():
            other = "AB".replace(this_host(), "")
            gone = Path(params[1][other], this_name())
            while not list(gone.glob("map-*")):
                time.sleep(0.005)
            Path(params[0], "lost").touch()
            for file in gone.iterdir():
                file.unlink()

    inputs = ["raw://a b a", "raw://b c", "raw://a", "raw://d d d", "raw://last"]
    params = (str(tmp_path), {node: str(path) for node, path in cluster.data.items()})
    job = cluster.disco.new_job(
        "losing", inputs, map=lose_them, reduce=totals, params=params, sort=True, nr_reduces=1
    )
    assert dict(result_iterator(job.wait(timeout=60))) == COUNTS | {"last": 1}
    assert job.jobinfo()["mapi"][3] > 0


def test_a_result_that_is_cut_goes_on_where_it_was_cut(cluster: Cluster, tmp_path: Path) -> None:
    results = cluster.disco.new_job("big", ["raw://x"] * 2, params=str(tmp_path), map=big).wait(timeout=60)
    expected = list(result_iterator(results))
    proxy = cluster.proxies[split_address(results[0])[0]]
    proxy.cut_next(150_000, 10, 150_000)
    assert list(result_iterator(results)) == expected
    assert proxy.cut == 3


def test_a_data_server_killed_while_it_serves_is_started_again_and_the_job_is_right(
    cluster: Cluster, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(node: str) -> None:
        server = data_server_of(cluster.nodes[node])
        assert server is not None
        killed.append(server.pid)
        server.kill()

    for name, proxy in cluster.proxies.items():
        proxy.cut_next(200_000, before=partial(kill, name))
    assert_big(big_job(cluster, tmp_path))
    assert len(killed) == 1
    for node, process in cluster.nodes.items():
        server = wait_until(partial(data_server_of, process))
        assert server.pid not in killed, node


def test_a_client_reads_large_results_in_bounded_memory(cluster: Cluster, tmp_path: Path) -> None:
    def large(entry: str, params: Any) -> Iterator[tuple[int, bytes]]:
        for n in range(64 << 10):
            yield n, os.urandom(1 << 10)

    [result] = cluster.disco.new_job("large", ["raw://x"], map=large).wait(timeout=60)
    count = (
        "import resource, sys; from disco_rq import result_iterator;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print(sum(len(value) for _, value in result_iterator([sys.argv[1]])));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    # an address that was kept as text is looked up in the cluster that the environment names
    environment = {**os.environ, "DISCO_RQ_REDIS": cluster.disco.url}
    command = [sys.executable, "-c", count, result]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    size, grown_kib = map(int, done.stdout.split())
    assert size == 64 << 20
    assert grown_kib < 30 << 10
