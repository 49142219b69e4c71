"""A node's data server, as a real process: what it gives, to whom, and how much it takes."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil
import pytest

from disco_rq.errors import CorruptData, DataError
from disco_rq.machine.redisserver import PrivateServer, private_directory
from disco_rq.outputs.datadir import NODE_ID, DataDir
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import ask
from disco_rq.outputs.wire import data_keys, keys_of_job, new_life, passes
from disco_rq.records import FileSource, PairBatch, RecordWriter, batches
from disco_rq.records.blocks import Kind
from disco_rq.records.writer import EncodedBlock
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import node_about
from tests.cluster.conftest import wait_until
from tests.cluster.programs import data_server_of, running_node

JOB = "job@20261123-211350-wgc6"
SECRET = "new, old"
NODE = "served"
LIFE: list[str] = []  # the word of the node's present life


URL: list[str] = []  # of its data server


def tokens(secret: str, node: str, life: str, job: str, url: str) -> list[str]:
    return [one.token for one in passes(keys_of_job(data_keys(secret.encode()), job), node, life, url)]


def right_tokens(job: str = JOB) -> list[str]:
    return tokens(SECRET, NODE, LIFE[0], job, URL[0])


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    directory = private_directory()
    with PrivateServer(directory) as server:
        yield server.url
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def node(redis: str, data: Path) -> Iterator[psutil.Process]:
    """A node without workers and with a secret."""
    with running_node(redis, NODE, data, slots=0, secret=SECRET) as process:
        wait_until(lambda: data_server_of(process))
        about = node_about(Connection(redis), NODE)
        LIFE[:], URL[:] = [about["life"]], [about["url"]]
        yield process


@pytest.fixture
def about(redis: str, node: psutil.Process) -> Callable[[str], dict[str, str]]:
    connection = Connection(redis)
    return lambda name: node_about(connection, name)


@pytest.fixture
def locator(about: Callable[[str], dict[str, str]]) -> Locator:
    """Of a reader to whom the node's directory looks like another machine's."""
    return Locator(lambda name: {**about(name), "word": "another"}, secret=b"old, older")


@pytest.fixture
def job_dir(data: Path) -> Path:
    directory = data / JOB
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def url(about: Callable[[str], dict[str, str]]) -> str:
    return about(NODE)["url"]


def get(
    url: str, path: str, token: str | None = "", *, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """Status, body, headers. ``token`` "": the right one of the job that is asked for."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    job = unquote(path).removeprefix("/").partition("/")[0]
    if token is not None:
        headers["Authorization"] = f"Bearer {token or right_tokens(job)[0]}"
    connection.request(method, path, headers=headers)
    with connection.getresponse() as response:
        body = response.read()
    connection.close()
    return response.status, body, response.headers


def write_output(path: Path, partitions: list[list[bytes]]) -> None:
    with RecordWriter(path, len(partitions)) as writer:
        for number, blocks in enumerate(partitions):
            for block in blocks:
                writer.add(number, EncodedBlock(Kind.OPAQUE, len(block), block))


def address(file: str) -> str:
    return f"disco://{NODE}/{JOB}/{file}"


# -- one file


def test_it_gives_outputs_and_logs_as_they_are(url: str, job_dir: Path) -> None:
    (job_dir / "map-0.1").write_bytes(bytes(range(256)) * 3000)
    (job_dir / "map-0.1.log").write_text("said")

    assert get(url, f"/{JOB}/map-0.1")[:2] == (200, bytes(range(256)) * 3000)
    status, body, headers = get(url, f"/{JOB}/map-0.1.log")
    assert (status, body) == (200, b"said")
    assert headers["Content-Type"].startswith("text/plain")
    assert get(url, f"/{JOB}/map-0.1", method="HEAD")[2]["Content-Length"] == str(256 * 3000)


@pytest.mark.parametrize(
    ("asked", "status", "body", "said"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 200, b"0123456789", None),
        ("bytes=10-", 416, b"no such range", "bytes */10"),
        ("bytes=-0", 416, b"no such range", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=" + "9" * 5000 + "-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_it_gives_ranges(
    url: str, job_dir: Path, asked: str, status: int, body: bytes, said: str | None
) -> None:
    (job_dir / "map-1.1").write_bytes(b"0123456789")

    answer = get(url, f"/{JOB}/map-1.1", Range=asked)

    assert answer[:2] == (status, body)
    assert answer[2]["Content-Range"] == said


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/.node-id",
        f"/{JOB}",
        f"/{JOB}/",
        f"/{JOB}/map-9.1",
        f"/{JOB}/secret.txt",
        f"/{JOB}/.node-id",
        f"/{JOB}/map-1.1/",
        f"/{JOB}/map-1.1.out",
        f"/{JOB}/map-2.1",  # a link
        f"/{JOB}/map-3.1",  # a directory
        f"/{JOB}/map-4.1",  # a pipe
        "/link@20261123-211350-wgc6/map-1.1",
        "/tmp/map-1.1",
        "/tmp/..%2F" + JOB + "/map-1.1",
        f"/..%2f..%2f..%2fetc%2fpasswd/{JOB}",
        f"/{JOB}/..%2f.node-id",
        f"/{JOB}/../.node-id",
        f"/{JOB}/%2e%2e/.node-id",
        "//etc/passwd",
        "/%2fetc/passwd",
        f"/{JOB}/map-1.1%00",
        f"/{JOB}/map-1.1%0a",
        "http://elsewhere/etc/passwd",
    ],
)
def test_nothing_but_the_files_of_tasks_is_there(url: str, data: Path, job_dir: Path, path: str) -> None:
    (job_dir / "map-1.1").write_bytes(b"0123456789")
    (job_dir / "secret.txt").write_text("not yours")
    (data / "tmp").mkdir(exist_ok=True)
    (data / "tmp" / "map-1.1").write_text("half done")
    if not (job_dir / "map-2.1").is_symlink():
        (job_dir / "map-2.1").symlink_to("/etc/passwd")
        (job_dir / "map-3.1").mkdir()
        os.mkfifo(job_dir / "map-4.1")
        (data / "link@20261123-211350-wgc6").symlink_to(job_dir)

    assert get(url, path)[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_it_is_read_only(url: str, job_dir: Path, method: str) -> None:
    (job_dir / "map-1.1").write_bytes(b"0123456789")
    assert get(url, f"/{JOB}/map-1.1", method=method)[0] == 405
    assert (job_dir / "map-1.1").read_bytes() == b"0123456789"


# -- to whom


def test_only_who_has_a_token_of_this_node_is_let_in(url: str, job_dir: Path) -> None:
    (job_dir / "map-1.1").write_bytes(b"0123456789")
    right = right_tokens()
    wrong = [
        None,
        "x",
        "ü",
        right[0][:-1],
        *tokens("another", NODE, LIFE[0], JOB, url),
        tokens(SECRET, "other", LIFE[0], JOB, url)[0],
        tokens(SECRET, NODE, new_life(), JOB, url)[0],
        tokens(SECRET, NODE, LIFE[0], "other@20261123-211350-wgc6", url)[0],
        tokens(SECRET, NODE, LIFE[0], JOB, "http://thief:1")[0],
    ]

    assert [get(url, f"/{JOB}/map-1.1", token)[0] for token in right] == [200, 200]
    assert [get(url, f"/{JOB}/map-1.1", token)[0] for token in wrong] == [401] * len(wrong)
    assert get(url, "/nothing", "x")[0] == 401  # who is not let in learns nothing
    assert get(url, "/healthz", None)[:2] == (200, b"ok\n")
    assert "new" not in right


def test_a_reader_with_another_secret_is_told_so_and_no_file_is_blamed(
    about: Callable[[str], dict[str, str]], job_dir: Path, tmp_path: Path
) -> None:
    write_output(job_dir / "map-5.1", [[b"x"]])
    stranger = Locator(lambda name: {**about(name), "word": "another"}, secret=b"another")

    with pytest.raises(DataError, match="DISCO_RQ_SECRET") as caught:
        reduce_sources(stranger, [address("map-5.1")], 0, tmp_path)
    assert caught.value.url is None


# -- partitions of many files


def blocks_of(locator: Locator, files: list[str], partition: int, scratch: Path) -> list[list[bytes]]:
    sources = reduce_sources(locator, [address(file) for file in files], partition, scratch)
    return [[block.data for block in source.blocks(partition)] for source in sources]


def test_the_partitions_of_many_outputs_are_what_a_local_reader_reads(
    locator: Locator, job_dir: Path, tmp_path: Path
) -> None:
    files = [f"map-{i}.2" for i in range(20)]
    for i, file in enumerate(files):
        # partitions without blocks, of some, and of more than goes into a piece
        write_output(job_dir / file, [[], [b"%d" % i * 10] * i, [bytes([i, n]) * 300_000 for n in range(3)]])

    for partition in range(3):
        local = [
            [block.data for block in FileSource(job_dir / file, file).blocks(partition)] for file in files
        ]
        assert blocks_of(locator, files, partition, tmp_path) == local


def test_typed_pairs_come_as_they_were_written(locator: Locator, job_dir: Path, tmp_path: Path) -> None:
    from disco_rq.shuffle.cutting import Cutter

    with RecordWriter(job_dir / "map-6.1", 1) as writer:
        for block in Cutter().blocks(PairBatch(["a", 1], [(1, 2), None], False)):
            writer.add(0, block)

    [source] = reduce_sources(locator, [address("map-6.1")], 0, tmp_path)
    [batch] = batches(source.blocks(0), source.name)
    assert (batch.keys, batch.values) == (["a", 1], [(1, 2), None])


def test_every_output_that_is_gone_is_named_before_anything_is_sent(
    locator: Locator, job_dir: Path, tmp_path: Path
) -> None:
    write_output(job_dir / "map-7.1", [[b"x" * 1000]])
    files = ["map-7.1", "map-70.1", "map-71.1", "map-7.1"]

    with pytest.raises(CorruptData, match=r"map-70\.1 \(and 1 more\)") as caught:
        blocks_of(locator, files, 0, tmp_path)
    assert caught.value.url == address("map-70.1")
    assert caught.value.urls == (address("map-70.1"), address("map-71.1"))


def test_a_job_without_files_on_the_node_has_lost_them_all(locator: Locator, tmp_path: Path) -> None:
    gone = [f"disco://{NODE}/gone@20261123-211350-wgc6/map-{i}.1" for i in range(3)]
    with pytest.raises(CorruptData) as caught:
        reduce_sources(locator, gone, 0, tmp_path)
    assert list(caught.value.urls) == gone


@pytest.mark.parametrize("how", ["truncated", "altered", "emptied", "no such partition"])
def test_an_output_that_cannot_be_read_is_named(
    locator: Locator, job_dir: Path, tmp_path: Path, how: str
) -> None:
    write_output(job_dir / "map-7.1", [[b"x" * 1000]])
    bad = job_dir / "map-8.1"
    write_output(bad, [[bytes([n]) * 100_000 for n in range(5)]])
    content = bytearray(bad.read_bytes())
    content[60] ^= 0xFF
    if how == "truncated":
        bad.write_bytes(content[:-30])
    elif how == "altered":
        bad.write_bytes(content)
    elif how == "emptied":
        bad.write_bytes(b"")

    with pytest.raises(CorruptData, match=r"map-8\.1") as caught:
        blocks_of(locator, ["map-7.1", "map-8.1"], 0, tmp_path) if how != "no such partition" else (
            blocks_of(locator, ["map-8.1"], 1, tmp_path)
        )
    assert caught.value.url == address("map-8.1")


def test_an_unreachable_node_is_said_with_all_its_outputs(
    about: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    locator = Locator(lambda name: {**about(name), "word": "another", "url": dead})
    outputs = [address("map-0.1"), address("map-1.1")]

    with pytest.raises(CorruptData, match=f"node {NODE} cannot be reached: Connection refused") as caught:
        reduce_sources(locator, outputs, 0, tmp_path, patience_s=0.2)
    assert list(caught.value.urls) == outputs


def test_local_outputs_that_are_gone_are_named_too(
    about: Callable[[str], dict[str, str]], job_dir: Path, tmp_path: Path
) -> None:
    write_output(job_dir / "map-7.1", [[b"x"]])
    near = Locator(about)
    assert near.path(address("map-7.1")) == job_dir / "map-7.1"
    with pytest.raises(CorruptData) as caught:
        reduce_sources(near, [address("map-7.1"), address("map-72.1")], 0, tmp_path)
    assert caught.value.url == address("map-72.1")


def test_a_large_partition_is_never_held_in_memory(locator: Locator, job_dir: Path, tmp_path: Path) -> None:
    write_output(job_dir / "map-92.1", [[os.urandom(128 << 10)] * 256])
    tracemalloc.start()
    reduce_sources(locator, [address("map-92.1")], 0, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize("body", ["../../etc/passwd 0", "map-1.1", "map-1.1 -1", "map-1.1 0 0", "ü 0"])
def test_a_request_that_makes_no_sense_is_refused(
    locator: Locator, about: Callable[[str], dict[str, str]], body: str
) -> None:
    with pytest.raises(OSError, match="HTTP status 400"):
        ask(locator.server(address("map-1.1")), f"/{JOB}/partitions/0", body=body.encode())


def test_a_request_that_is_too_long_is_refused(locator: Locator) -> None:
    with pytest.raises(OSError, match=r"HTTP status 413|[Rr]eset|[Bb]roken"):
        ask(locator.server(address("map-1.1")), f"/{JOB}/partitions/0", body=b"map-1.1 0\n" * 900_000)


# -- how much it takes


def test_a_hundred_fetches_at_a_time_take_little_memory(
    node: psutil.Process, url: str, job_dir: Path
) -> None:
    # given a hundred readers that have begun, and then do not read on
    size = 4 << 20
    (job_dir / "map-91.1").write_bytes(bytes(size))
    server = data_server_of(node)
    assert server is not None
    before = server.memory_info().rss
    parts = urlsplit(url)
    request = f"GET /{JOB}/map-91.1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    request += f"Authorization: Bearer {right_tokens()[0]}\r\n\r\n"
    readers = [socket.create_connection((parts.hostname, parts.port), timeout=20) for _ in range(100)]
    for reader in readers:
        reader.sendall(request.encode())
    begun = [reader.recv(64) for reader in readers]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in begun)
    held = server.memory_info().rss - before
    # when all go on
    received = [len(answer) for answer in begun]

    def drain(i: int) -> None:
        while piece := readers[i].recv(1 << 20):
            received[i] += len(piece)

    threads = [threading.Thread(target=drain, args=[i]) for i in range(100)]
    for thread in threads:
        thread.start()
    peak = held
    deadline = time.monotonic() + 30
    while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
        peak = max(peak, server.memory_info().rss - before)
        time.sleep(0.01)
    for thread, reader in zip(threads, readers, strict=True):
        thread.join()
        reader.close()
    # then each has got it all
    assert all(size < count < size + 1000 for count in received)
    assert peak < 100 << 20, f"{peak >> 20} MB for 100 files of 4 MB"


def test_a_reader_that_leaves_leaves_nothing_open(node: psutil.Process, url: str, job_dir: Path) -> None:
    (job_dir / "map-91.1").write_bytes(bytes(8 << 20))
    server = data_server_of(node)
    assert server is not None

    def are_open() -> int:
        """Files of the job; a library may hold one of its own."""
        return sum(Path(file.path).parent == job_dir for file in server.open_files())

    wait_until(lambda: are_open() == 0)
    parts = urlsplit(url)
    request = f"GET /{JOB}/map-91.1 HTTP/1.1\r\nHost: x\r\n"
    request += f"Authorization: Bearer {right_tokens()[0]}\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as reader:
        reader.sendall(request.encode())
        reader.recv(64)
        wait_until(lambda: are_open() == 1)
    wait_until(lambda: are_open() == 0)


def test_killed_it_is_started_again_on_the_same_port(node: psutil.Process, url: str, job_dir: Path) -> None:
    (job_dir / "map-1.1").write_bytes(b"0123456789")
    server = data_server_of(node)
    assert server is not None
    server.kill()
    # whoever connects meanwhile waits for the next one
    assert get(url, f"/{JOB}/map-1.1")[:2] == (200, b"0123456789")


def test_the_data_directory_is_made_for_a_node_without_workers(node: psutil.Process, data: Path) -> None:
    assert DataDir(data).prepare() == (data / NODE_ID).read_text()
