"""A file on a web server is one version of it, whole, or an error: whatever is cut, changed or refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest

from disco_rq.errors import DataError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import Input, MapInput
from tests.unit.inputs.webserver import WebFile, served

TEXT = b"".join(b"line %d\n" % i for i in range(20_000))
TAG = {"ETag": '"v1"'}
TIME = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
LATER = {"Last-Modified": "Fri, 02 Jan 2026 00:00:00 GMT"}
Serve = Callable[..., WebFile]


@pytest.fixture
def serve(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr("disco_rq.inputs.httpfile._PAUSE_S", 0.001)
    opened = []

    def start(content: bytes = TEXT, headers: dict[str, str] | None = None, **how: object) -> WebFile:
        context = served(WebFile(content, dict(headers or {}), **how))  # type: ignore[arg-type]
        opened.append(context)
        return context.__enter__()

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def plan(file: WebFile, split_size: int | None = None) -> list[MapInput]:
    return list(plan_inputs([file.url], line_based=True, split_size=split_size))


def read(part: str | MapInput) -> bytes:
    input = Input(part) if isinstance(part, str) else part.parts[0][0]
    with open_input(input, timeout_s=5) as (fd, _):
        return fd.read()


def gets(file: WebFile) -> list[tuple[str | None, str | None]]:
    return [(asked, condition) for method, asked, condition in file.asked if method == "GET"]


class TestCuts:
    @pytest.mark.parametrize("headers", [TAG, TIME, TAG | TIME])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_cut_transfer_goes_on_from_where_it_was(
        self, serve: Serve, headers: dict[str, str], chunked: bool
    ) -> None:
        file = serve(headers=headers, cuts=[1000, 5000, 0], chunked=chunked)
        assert read(file.url) == TEXT
        ranges = gets(file)
        assert ranges[0] == (None, None)
        if not chunked:  # what came of a chunk that is cut is asked for again
            assert [asked for asked, _ in ranges[1:]] == ["bytes=1000-", "bytes=6000-", "bytes=6000-"]
        validator = next(iter(headers.values()))
        assert all(condition == (validator if asked else None) for asked, condition in ranges)

    def test_what_is_packed_goes_on_too(self, serve: Serve) -> None:
        packed = gzip.compress(TEXT)
        assert read(serve(packed, TAG, cuts=[100, 100]).url) == TEXT
        assert read(serve(packed, TAG | {"Content-Encoding": "gzip"}, cuts=[100, 100]).url) == TEXT

    def test_a_piece_goes_on_too(self, serve: Serve) -> None:
        file = serve(headers=TAG | {"Accept-Ranges": "bytes"})
        tasks = plan(file, 50_000)
        assert len(tasks) == 5
        read_parts = []
        for task in tasks:
            file.cuts = [1, 10_000, 3, 10_000]
            read_parts.append(read(task))
        assert b"".join(read_parts) == TEXT

    @pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}, TAG | {"Accept-Ranges": "none"}])
    def test_what_the_server_cannot_name_for_sure_is_not_patched_together(
        self, serve: Serve, headers: dict[str, str]
    ) -> None:
        file = serve(headers=headers, cuts=[1000])
        with pytest.raises(DataError, match="cut off after 1000 of"):
            read(file.url)
        assert len(gets(file)) == 1

    def test_it_does_not_go_on_for_ever(self, serve: Serve) -> None:
        file = serve(headers=TAG, cuts=[10] * 100)
        with pytest.raises(DataError, match="cut off after 60 of"):
            read(file.url)
        assert len(gets(file)) == 6

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"ranges": False}, "HTTP status 200 instead of 206: the server does not go on from byte 1000"),
            ({"shift": 1}, "the server sent another range than from byte 1000"),
            ({"headers": {"ETag": '"v2"'}}, "it was rewritten while it was read"),
            ({"headers": TAG | {"Content-Encoding": "gzip"}}, "another encoding"),
            ({"content": TEXT[:500]}, "it has become shorter"),
            ({"content": TEXT + b"more\n"}, "bytes now, and"),
        ],
    )
    def test_another_file_or_range_instead_of_the_rest_is_an_error_that_says_so(
        self, serve: Serve, change: dict[str, object], says: str
    ) -> None:
        file = serve(headers=TAG, cuts=[1000])

        def harm() -> None:
            for name, value in change.items():
                setattr(file, name, value)

        file.after = harm
        with pytest.raises(DataError, match=says):
            read(file.url)


class TestVersions:
    @pytest.mark.parametrize("split_size", [None, 50_000])
    @pytest.mark.parametrize(
        ("then", "now"), [(TAG, {"ETag": '"v2"'}), (TIME, LATER), ({"ETag": 'W/"1"'}, {"ETag": 'W/"2"'})]
    )
    def test_a_file_that_was_rewritten_since_the_submit_is_an_error(
        self, serve: Serve, then: dict[str, str], now: dict[str, str], split_size: int | None
    ) -> None:
        file = serve(headers=then | {"Accept-Ranges": "bytes"})
        tasks = plan(file, split_size)
        file.headers |= now
        for task in tasks:
            with pytest.raises(DataError, match="it was rewritten since the job was submitted: its "):
                read(task)

    @pytest.mark.parametrize("headers", [{}, TAG, TIME])
    def test_a_shorter_file_is_an_error(self, serve: Serve, headers: dict[str, str]) -> None:
        file = serve(headers=headers)
        [task] = plan(file)
        file.content = TEXT[:500]
        with pytest.raises(DataError, match="it has become shorter since the job was submitted: 500 bytes"):
            read(task)

    def test_a_file_that_is_rewritten_while_it_is_sent_is_an_error(self, serve: Serve) -> None:
        file = serve(headers=TAG)
        [task] = plan(file)
        file.after = lambda: file.headers.update({"ETag": '"v2"'})
        with pytest.raises(DataError, match="it was rewritten since the job was submitted: its ETag"):
            read(task)

    def test_a_log_that_only_grew_is_read_as_far_as_it_went(self, serve: Serve) -> None:
        file = serve(headers=TIME | {"Accept-Ranges": "bytes"})
        tasks = plan(file, 50_000)
        file.content += b"more\n"
        file.headers |= LATER
        assert b"".join(map(read, tasks)) == TEXT

    @pytest.mark.parametrize("more", [b"more\n", b"x" * 300_000 + b"\nmore\n", b"x"])
    @pytest.mark.parametrize("then", [TEXT, TEXT[:-1], TEXT[:5000], TEXT[:1]])
    def test_so_it_is_by_a_server_without_ranges(self, serve: Serve, then: bytes, more: bytes) -> None:
        file = serve(content=then, headers=TIME, ranges=False)
        [task] = plan(file)
        file.content += more
        file.headers |= LATER
        in_line = b"" if then.endswith(b"\n") else more[: more.find(b"\n") + 1] or more
        assert read(task) == then + in_line

    def test_a_cut_that_ends_the_connection_is_told_by_the_size_at_submit(self, serve: Serve) -> None:
        file = serve(tells_length=False)
        [task] = plan(file)
        assert read(task) == TEXT
        file.cuts = [1000]
        with pytest.raises(
            DataError, match=f"shorter since the job was submitted: 1000 bytes, and {len(TEXT)}"
        ):
            read(task)

    def test_a_tag_that_a_proxy_weakened_is_the_same(self, serve: Serve) -> None:
        file = serve(headers=TAG)
        [task] = plan(file)
        file.headers = {"ETag": 'W/"v1"'}
        assert read(task) == TEXT


class TestHead:
    @pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 501])
    @pytest.mark.parametrize("ranges", [True, False])
    def test_a_server_that_answers_get_and_not_head_is_read(
        self, serve: Serve, status: int, ranges: bool
    ) -> None:
        accepts = {"Accept-Ranges": "bytes"} if ranges else {}
        file = serve(headers=TAG | accepts, head_status=status, ranges=ranges)
        tasks = plan(file, 50_000)
        assert len(tasks) == (5 if ranges else 1)
        assert b"".join(map(read, tasks)) == TEXT

    def test_one_that_hangs_up_at_head_and_refuses_ranges_is_read(self, serve: Serve) -> None:
        file = serve(headers=TAG)
        file.head_status, file.range_status = 0, 400
        [task] = plan(file)
        assert task.parts[0][0].identity is not None
        assert read(task) == TEXT

    @pytest.mark.parametrize("headers", [{}, TAG])
    def test_a_head_without_the_size_does_not_make_a_file_empty(
        self, serve: Serve, headers: dict[str, str]
    ) -> None:
        file = serve(headers=headers, head_length=0)
        assert b"".join(map(read, plan(file))) == TEXT

    def test_of_one_version_the_size_that_was_sent_counts(self, serve: Serve) -> None:
        file = serve(headers=TAG, head_length=100)
        assert b"".join(map(read, plan(file))) == TEXT

    def test_an_empty_file_is_one(self, serve: Serve) -> None:
        assert b"".join(map(read, plan(serve(b"", TAG)))) == b""


@pytest.mark.parametrize("how", ["br", "deflate", "gzip, br"])
def test_a_packing_that_is_not_read_is_named(serve: Serve, how: str) -> None:
    file = serve(headers={"Content-Encoding": how})
    with pytest.raises(DataError, match=f"the server packs it as {how}, which is not read here"):
        read(file.url)
