"""What a client says of jobs, as an interpreter prints it."""

from __future__ import annotations

from disco_rq.client.facts import describe_death

EVIL = "\x1b]0;owned\x07\u202e"


def test_the_cause_of_a_death_moves_nothing_on_a_terminal() -> None:
    said = {"task": "map:0", "attempt": 2, "node": f"n{EVIL}", "message": f"ValueError: {EVIL}"}
    earlier = {"attempt": 1, "node": "n", "message": EVIL}
    cause = said | {"failures": [earlier], "traceback": f"  File\n    {EVIL}\n"}

    text = describe_death("job", cause)

    assert text.count(r"\x1b]0;owned\x07\u202e") == 4
    assert not set(text) & {*EVIL} - {*"0;owned]"}
    assert len(text.splitlines()) == 4
