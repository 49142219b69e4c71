"""The command line explains itself, and a wrong call says so in a line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from disco_rq.cli import main
from disco_rq.cli.app import cli
from disco_rq.cli.verbs import VERBS, Verbs
from disco_rq.settings import Settings

PROGRAMS = {"master", "node", "up", "web-token", "completion"}


def verbs(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    commands = group.every() if isinstance(group, Verbs) else group.commands
    for name, command in commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def test_every_verb_of_the_specification_exists() -> None:
    assert {name for name, _ in verbs(cli)} == {
        *("run", "submit", "wait", "jobs", "info", "events", "results", "cat", "oob list", "oob get"),
        *("tasks", "failures", "bad", "story", "log", "pstats", "retry", "replay", "kill", "pause", "resume"),
        *("clean", "purge"),
        *("nodes", "drain", "blacklist", "whitelist", "forget"),
        *("doctor", "master", "node", "up", "web-token", "help", "completion"),
    }


def test_the_list_of_verbs_says_what_their_own_help_says() -> None:
    texts = {name: " ".join((command.help or "").split()) for name, command in cli.every().items()}
    assert list(texts) == list(VERBS)
    assert [name for name in VERBS if not texts[name].startswith(VERBS[name].line.rstrip("."))] == []


COMPLETION = {"_DISCO_RQ_COMPLETE": "bash_complete", "COMP_WORDS": "disco-rq ", "COMP_CWORD": "1"}
HEAVY = ("redis", "rq", "rich", "msgpack", "disco_rq.cli.run")


@pytest.mark.parametrize(("words", "environment"), [(["--help"], {}), ([], COMPLETION)])
def test_help_and_the_completion_of_verbs_import_none(words: list[str], environment: dict[str, str]) -> None:
    code = (
        "import sys; from disco_rq.cli import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "purge" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_node_starts_again_with_the_hash_seed_before_it_has_imported_anything() -> None:
    """What was imported by then would be imported twice."""
    heavy = (*HEAVY, "click")
    code = (
        "import os, sys; from disco_rq.cli import main\n"
        "def begins_again(program, arguments, environment):\n"
        f"    print(environment['PYTHONHASHSEED'], [name for name in {heavy} if name in sys.modules])\n"
        "    sys.exit()\n"
        "os.execve = begins_again\n"
        "main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    done = subprocess.run(
        [sys.executable, "-c", code, "node", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0 []\n", "")


@pytest.mark.parametrize(("verb", "unneeded"), [("master", "disco_rq.worker"), ("node", "disco_rq.client")])
def test_a_part_of_a_cluster_imports_no_other_part(verb: str, unneeded: str) -> None:
    code = (
        "import sys; from disco_rq.cli import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: print({unneeded!r} in sys.modules, 'redis' in sys.modules)"
    )
    nowhere = ["--redis", "unix:///nowhere"]
    done = subprocess.run(
        [sys.executable, "-c", code, verb, *nowhere], capture_output=True, text=True, timeout=60
    )
    assert "nowhere" in done.stderr
    assert done.stdout.splitlines()[-1] == "False True"


@pytest.mark.parametrize("name", [name for name, _ in verbs(cli)])
def test_every_verb_has_help_with_an_example_of_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*name.split(), "--help"])

    assert left.value.code == 0
    said = capsys.readouterr().out
    assert f"disco-rq {name}" in said.partition("Example:")[2]


@pytest.mark.parametrize("name", [name for name, _ in verbs(cli) if name not in PROGRAMS])
def test_whatever_tells_or_changes_something_can_say_it_as_json(name: str) -> None:
    command = dict(verbs(cli))[name]

    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("setting", sorted(set(Settings.__slots__) - {"secret", "prefix"}))
def test_every_setting_is_an_option_of_the_program_that_reads_it(setting: str) -> None:
    """Not the secret: ``ps`` shows options. Nor the prefix, which is one for a whole process."""
    programs = [dict(verbs(cli))[name] for name in ("master", "node")]
    options = {parameter.name for program in programs for parameter in program.params}

    assert setting in options  # --label may come several times, and gives labels


@pytest.mark.parametrize(
    "call",
    [
        ["nonsense"],
        ["info"],
        ["run"],
        ["run", "--workers", "0", "x.py"],
        ["purge"],
        ["purge", "--older", "soon"],
    ],
)
def test_a_wrong_call_leaves_with_2_and_says_how_it_is_used(
    call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(call)

    assert left.value.code == 2
    assert "Usage: disco-rq" in capsys.readouterr().err


def test_without_a_cluster_a_verb_tells_how_to_name_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISCO_RQ_REDIS", raising=False)

    with pytest.raises(SystemExit) as left:
        main(["jobs"])

    assert left.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("disco-rq: which cluster? give --redis URL or set DISCO_RQ_REDIS")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://127.0.0.1:1", "127.0.0.1:1"),
        ("unix:///nowhere/redis.sock", "/nowhere/redis.sock"),
        ("redis://:hunter2@127.0.0.1:1", "127.0.0.1:1"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_unreachable_cluster_is_one_line_with_its_address_and_no_password(
    url: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["jobs", "--redis", url])

    assert left.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("disco-rq: ")
    assert told in said
    assert "hunter2" not in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["info", "cat", "kill"])
def test_the_last_job_of_a_user_without_one_is_told(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    with pytest.raises(SystemExit) as left:
        main([name, "@", "--redis", "redis://127.0.0.1:1"])

    assert left.value.code == 1
    told = "@ is your last job on this cluster, and you have not submitted one to it yet"
    assert capsys.readouterr().err == f"disco-rq: {told}\n"
