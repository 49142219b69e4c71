"""No control character of anybody's text reaches a terminal or a log."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from disco_rq.machine.escaping import EscapingStream, escaped, seen
from disco_rq.machine.logs import LogFormatter

EVIL = "\x1b]0;owned\x07\x1b[2Jred\x9b31m\x7f\r"
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"]


def test_every_control_character_is_written_out() -> None:
    shown = escaped("".join(CONTROLS) + "\udc9b é 漢\n\ta")
    assert not set(shown) & {*CONTROLS, "\udc9b"}
    assert shown.endswith("\\x9b é 漢\n\ta")
    assert escaped("a\nb\tc", one_line=True) == "a\\nb\\tc"


TURNING = "".join(map(chr, (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
UNSEEN = "\u00ad\u180e\u200b\u2028\u2029\u2060\u2064\u206f\ufeff\ufff9\U000e0001\U000e0041"
JOINED = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f4bb"


@pytest.mark.parametrize("show", [escaped, seen])
def test_what_turns_text_around_or_is_not_seen_is_written_out(show: Callable[[str], str]) -> None:
    shown = show(f"a{TURNING}b{UNSEEN}c\u202fd \u05d0\u0628")
    assert not set(shown) & {*TURNING, *UNSEEN}
    assert r"\u202e" in shown
    assert shown.endswith("c\u202fd \u05d0\u0628")  # a narrow blank, and letters from right to left
    # joiners belong to Persian and to emoji: they stay in text, and do not hide in a name
    assert show(JOINED) == JOINED
    assert escaped("ad\u200cmin", one_line=True) == r"ad\u200cmin"


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
