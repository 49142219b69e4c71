"""The verb that looks for what is wrong: doctor."""

from __future__ import annotations

import time

import click

from disco_rq.cli.arguments import address, age_s, json_option, redis_option, verb
from disco_rq.cli.output import print_json, tell
from disco_rq.doctor import Finding, examine
from disco_rq.settings import Settings

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


LOOK_AGAIN_S = 0.5


@verb("disco-rq doctor --wait 2m && disco-rq run wordcount.py logs/*.txt")
@click.option("--wait", "patience_s", type=age_s, metavar="TIME", help="Until no line is fail: 30s, 5m.")
@redis_option
@json_option
def doctor(patience_s: float | None, redis: str | None, as_json: bool) -> int:
    """Look at Redis, the master and the nodes, as seen from here; tell what is wrong and what to do.

    Each line is ok, warn or fail; leaves with 1 when one of them is fail. Nothing is changed. With --wait it
    looks again until none is, so long at most, and says on stderr what it waits for.
    """
    found = _examined(address(redis), patience_s or 0.0)
    failed = any(finding.level == "fail" for finding in found)
    if as_json:
        print_json({"ok": not failed, "findings": [finding._asdict() for finding in found]})
        return int(failed)
    for finding in found:
        _tell(finding)
    return int(failed)


def _examined(url: str, patience_s: float) -> list[Finding]:
    deadline = time.monotonic() + patience_s
    told = ""
    while True:
        found = examine(url, Settings.from_env())
        failing = next(
            (f"{finding.what}: {finding.text}" for finding in found if finding.level == "fail"), ""
        )
        if not failing or time.monotonic() + LOOK_AGAIN_S > deadline:
            return found
        if failing != told:
            tell(f"waiting: {failing}")
            told = failing
        time.sleep(LOOK_AGAIN_S)


def _tell(finding: Finding) -> None:
    # Colours are dropped where stdout is no terminal.
    level = click.style(f"{finding.level:<4}", fg=COLOURS[finding.level])
    click.echo(f"{level}  {finding.what}: {finding.text}")
    if finding.do and finding.level != "ok":
        click.echo(f"      → {finding.do}")


VERBS = (doctor,)
