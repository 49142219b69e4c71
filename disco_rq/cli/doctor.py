"""The verb that looks for what is wrong: doctor."""

from __future__ import annotations

import click

from disco_rq.cli.arguments import address, json_option, redis_option, verb
from disco_rq.cli.output import print_json
from disco_rq.doctor import Finding, examine
from disco_rq.settings import Settings

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@verb("disco-rq doctor --redis redis://cluster")
@redis_option
@json_option
def doctor(redis: str | None, as_json: bool) -> int:
    """Look at Redis, the master and the nodes, as seen from here; tell what is wrong and what to do.

    Each line is ok, warn or fail; leaves with 1 when one of them is fail. Nothing is changed.
    """
    found = examine(address(redis), Settings.from_env())
    failed = any(finding.level == "fail" for finding in found)
    if as_json:
        print_json({"ok": not failed, "findings": [finding._asdict() for finding in found]})
        return int(failed)
    for finding in found:
        _tell(finding)
    return int(failed)


def _tell(finding: Finding) -> None:
    # Colours are dropped where stdout is no terminal.
    level = click.style(f"{finding.level:<4}", fg=COLOURS[finding.level])
    click.echo(f"{level}  {finding.what}: {finding.text}")
    if finding.do and finding.level != "ok":
        click.echo(f"      → {finding.do}")


VERBS = (doctor,)
