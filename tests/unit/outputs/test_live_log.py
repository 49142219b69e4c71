"""A data server tells how far an attempt is that runs, and what it prints, to who may read its job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disco_rq.outputs.datadir import TMP
from disco_rq.outputs.server import data_app
from disco_rq.outputs.underway import write_note
from disco_rq.outputs.wire import ENTRIES, Pass
from tests.loops import run_coroutine

JOB = "job@20260101-000000-aaaa"


def asked(root: Path, path: str, token: str) -> tuple[int, bytes, bytes | None]:
    """Status and body of the answer, and how many entries it tells."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    app = data_app(root, lambda job: [Pass("right", "proof")] if job == JOB else [])
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }

    async def ask() -> None:
        await app(scope, receive, send)

    run_coroutine(ask())
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], body, dict(sent[0]["headers"]).get(ENTRIES.encode())


@pytest.mark.parametrize(
    ("name", "token", "answer"),
    [
        ("map-3.1.live", "right", (200, b"so far", b"1234")),
        ("map-3.2.live", "right", (200, b"", None)),
        ("map-3.1.live", "wrong", (401, b"wrong or missing token", None)),
        ("n1.0-00000a.17.live", "right", (404, b"no such file", None)),
    ],
)
def test_what_is_printed_so_far(
    tmp_path: Path, name: str, token: str, answer: tuple[int, bytes, bytes | None]
) -> None:
    (tmp_path / TMP).mkdir()
    write_note(tmp_path / TMP / "n1.0-00000a.17.now", JOB, "map-3.1", 1234)
    (tmp_path / TMP / "n1.0-00000a.17.log").write_text("so far")

    assert asked(tmp_path, f"/{JOB}/{name}", token) == answer
