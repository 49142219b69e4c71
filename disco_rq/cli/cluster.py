"""The verbs that run parts of a cluster: master, node, up; and web-token.

Each imports its part itself: a node imports a fifth less without what the master and the client need.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

import click

from disco_rq.cli.arguments import redis_option, verb
from disco_rq.errors import SettingsError
from disco_rq.machine.hiding import hide_secret
from disco_rq.machine.logs import log_to_stderr
from disco_rq.machine.titles import tell_title
from disco_rq.settings import PREFIX, Settings

log = logging.getLogger("disco_rq.settings")

otel_option = click.option(
    "--otel",
    type=click.Choice(["on", "off"]),
    help="Spans of OpenTelemetry for jobs and attempts. [default: $DISCO_RQ_OTEL or off]",
)


@verb("DISCO_RQ_REDIS=redis://cluster disco-rq master")
@redis_option
@click.option("--http", metavar="HOST:PORT", help="Where it serves its web page. [default: $DISCO_RQ_HTTP]")
@click.option(
    "--shares",
    metavar="OWNER=SHARE,…",
    help="How it deals slots among owners: alice=3,*=1. [default: $DISCO_RQ_SHARES]",
)
@click.option(
    "--owner-slots",
    metavar="OWNER=N,…",
    help="Slots of one owner at most: alice=8,*=4. [default: $DISCO_RQ_OWNER_SLOTS]",
)
@otel_option
@click.option(
    "--gc-after",
    metavar="TIME",
    help="When it purges jobs that ended: 7d. [default: $DISCO_RQ_GC_AFTER]",
)
@click.option(
    "--reuse-max",
    metavar="N",
    help="Purged jobs whose files others may keep. [default: $DISCO_RQ_REUSE_MAX or 1000]",
)
def master(redis: str | None, **options: str | None) -> None:
    """Run a master until it is stopped. Several may run: one leads, another takes over when it dies."""
    from disco_rq.machine.tracing import check_installed
    from disco_rq.master.master import portions
    from disco_rq.web.port import WebPort
    from disco_rq.web.serving import run_master_with_page

    log_to_stderr()
    _warn_of_unread()
    settings = settings_with(redis=redis, **options)
    portions(settings)  # what is wrong is told before the page is up
    check_installed(wanted=settings.otel)
    hide_secret()
    tell_title("master")
    port = WebPort(settings)
    _tell_page(port.url, port.problem)
    run_master_with_page(settings, port)


@verb("DISCO_RQ_REDIS=redis://cluster disco-rq node --slots 8 --data /var/lib/disco-rq")
@click.option(
    "--slots",
    type=click.IntRange(min=0),
    metavar="N",
    help="Tasks at a time; 0 only serves the node's files. [default: one a core]",
)
@click.option("--node", metavar="NAME", help="The node's name. [default: $DISCO_RQ_NODE or the host's]")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="What it has, for jobs that need it: gpu, ram=64; also several. [default: $DISCO_RQ_LABELS]",
)
@click.option(
    "--data", type=click.Path(file_okay=False), metavar="DIR", help="For files. [default: $DISCO_RQ_DATA]"
)
@click.option(
    "--data-http", metavar="HOST:PORT", help="Where it serves the files. [default: $DISCO_RQ_DATA_HTTP]"
)
@click.option(
    "--data-url",
    metavar="URL",
    help="Where others reach that. [default: $DISCO_RQ_DATA_URL or as it listens]",
)
@click.option(
    "--task-memory", metavar="SIZE", help="What one task may hold: 2g. [default: $DISCO_RQ_TASK_MEMORY]"
)
@click.option(
    "--tasks-per-process",
    metavar="N",
    help="A new process after so many tasks. [default: $DISCO_RQ_TASKS_PER_PROCESS]",
)
@click.option(
    "--min-free", metavar="SIZE", help="Takes no tasks with less disk free. [default: $DISCO_RQ_MIN_FREE]"
)
@click.option(
    "--fsync",
    type=click.Choice(["on", "off"]),
    help="Results are on the disk before they count. [default: $DISCO_RQ_FSYNC or on]",
)
@otel_option
@click.option(
    "--grace",
    metavar="TIME",
    help="Its tasks may run on so long when it ends. [default: $DISCO_RQ_GRACE]",
)
@click.option(
    "--sweep-after",
    metavar="TIME",
    help="When files go of jobs that Redis has forgotten. [default: $DISCO_RQ_SWEEP_AFTER or 7d]",
)
@redis_option
def node(slots: int | None, redis: str | None, labels: tuple[str, ...], **options: str | None) -> None:
    """Run this machine's workers, and serve their files to the others, until they are stopped."""
    from disco_rq.node.node import run_node

    log_to_stderr()
    _warn_of_unread()
    options["labels"] = _joined(labels)
    run_node(settings_with(redis=redis, **options), os.cpu_count() or 1 if slots is None else slots)


def _joined(labels: Sequence[str]) -> str | None:
    """As the setting has them. There a blank is a separator, which is not what who quotes one thinks."""
    for label in ",".join(labels).split(","):
        if len(parts := label.split()) > 1:
            told = " ".join(f"--label {part}" for part in parts)
            raise SettingsError(
                f"--label {label.strip()!r}: no label has a blank in it; for several give {told}"
            )
    return ",".join(labels) or None


@verb("disco-rq up --workers 4")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="[default: one a core]")
def up(workers: int | None) -> None:
    """Run a whole cluster on this machine, until Ctrl-C."""
    from disco_rq.cli.run import stopped_like_ctrl_c
    from disco_rq.client.embedded import EmbeddedCluster

    with (
        suppress(KeyboardInterrupt),
        stopped_like_ctrl_c(),
        EmbeddedCluster(workers, has_open_page=True) as cluster,
    ):
        click.echo(f"export {PREFIX}REDIS={cluster.url}")
        _tell_page(cluster.http_url, cluster.http_problem)
        click.echo("The cluster is up. Give the line above to another shell; Ctrl-C ends it.", err=True)
        while True:
            signal.pause()


@verb("DISCO_RQ_SECRET=… disco-rq web-token")
@click.option("--viewer", is_flag=True, help="One that only looks.")
def web_token(viewer: bool) -> None:
    """Print the token that opens the web page and the API of a cluster with a secret."""
    from disco_rq.web.access import token

    secret = Settings.from_env().secret
    if secret is None:
        raise SettingsError(f"without {PREFIX}SECRET the page needs no token: it is open to this machine")
    click.echo(token(secret, "viewer" if viewer else "admin"))


def _warn_of_unread() -> None:
    """An older program may see a setting of a newer one: that is no error."""
    from disco_rq.machine.unread import unread

    for text in unread(os.environ):
        log.warning("%s", text, extra={"action": "settings"})


def _tell_page(url: str, problem: str) -> None:
    if problem:
        click.echo(f"disco-rq: {problem}", err=True)
    elif url:
        click.echo(f"The web page: {url}", err=True)


def settings_with(**options: str | None) -> Settings:
    """The options that are given over the environment's settings. One must be the address of a Redis."""
    given = {PREFIX + name.upper(): value for name, value in options.items() if value is not None}
    settings = Settings.from_env({**os.environ, **given})
    if settings.redis is None:
        raise SettingsError(
            f"give --redis URL or set {PREFIX}REDIS: the Redis through which the cluster meets"
        )
    return settings


VERBS = (master, node, up, web_token)
