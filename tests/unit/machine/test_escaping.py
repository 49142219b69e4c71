"""No control character of anybody's text reaches a terminal or a log."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys

import pytest

from disco_rq.machine.escaping import EscapingStream, escaped
from disco_rq.machine.logs import LogFormatter

EVIL = "\x1b]0;owned\x07\x1b[2Jred\x9b31m\x7f\r"
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"]


def test_every_control_character_is_written_out() -> None:
    shown = escaped("".join(CONTROLS) + "\udc9b é 漢\n\ta")
    assert not set(shown) & {*CONTROLS, "\udc9b"}
    assert shown.endswith("\\x9b é 漢\n\ta")
    assert escaped("a\nb\tc", one_line=True) == "a\\nb\\tc"


def test_a_terminal_gets_text_and_bytes_escaped_and_in_order() -> None:
    raw = io.BytesIO()
    stream = EscapingStream(io.TextIOWrapper(raw, encoding="utf-8"))
    print("one", EVIL, file=stream)
    stream.buffer.write(b"two \x1b[2J \xff \x9b\n")
    stream.write("three\n")
    stream.flush()
    written = raw.getvalue()
    assert [line[:3] for line in written.splitlines()] == [b"one", b"two", b"thr"]
    assert not {0x1B, 0x07, 0x7F, 0x0D, 0x9B} & set(written.replace("é".encode(), b""))
    assert b"\xff" in written


def test_a_log_line_stays_one_line_and_moves_nothing() -> None:
    record = logging.LogRecord("disco_rq", logging.WARNING, "f", 1, "said %s", (f"{EVIL}\nforged",), None)
    assert LogFormatter("%(levelname)s %(message)s").format(record) == (
        "WARNING said \\x1b]0;owned\\x07\\x1b[2Jred\\x9b31m\\x7f\\r\\nforged"
    )


def test_a_traceback_in_a_log_keeps_its_lines_only() -> None:
    try:
        raise ValueError(EVIL)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    text = LogFormatter("%(message)s").format(record)
    assert text.startswith("failed\nTraceback")
    assert not set(text) & set(CONTROLS)


PROGRAM = """
import sys, click
from disco_rq.cli import app
evil = "\\x1b]0;owned\\x07"
@app.cli.command("evil")
def command():
    click.echo(evil); click.echo(evil.encode()); sys.stdout.buffer.write(evil.encode())
    sys.stdout.flush()
    raise app.DiscoError(evil)
app.run(["evil"])
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_command_line_escapes_on_a_terminal_and_hands_on_as_it_is_in_a_pipe(is_terminal: bool) -> None:
    if not is_terminal:
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60)
        assert done.stdout.count(b"\x1b]0;owned\x07") == 3
        return
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM])
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.waitpid(pid, 0)
    os.close(terminal)
    assert said.count(b"\\x1b]0;owned\\x07") == 4
    assert b"\x1b" not in said
    assert b"\x07" not in said
