"""The verbs that start a job or wait for one: run, submit, wait."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
from rich.console import Console

from disco_rq import Disco, Job, result_iterator
from disco_rq.cli import lastjob
from disco_rq.cli.arguments import connect, job_argument, json_option, redis_option, verb
from disco_rq.cli.checks import checks_line
from disco_rq.cli.completion import complete_files
from disco_rq.cli.explaining import explain
from disco_rq.cli.locally import run_here
from disco_rq.cli.output import json_of, print_json, write_pairs
from disco_rq.cli.pilot import AtPilot, Declined
from disco_rq.cli.printed import WithLogs
from disco_rq.cli.program import load_program, with_params
from disco_rq.cli.results import follow_pairs
from disco_rq.client.progress import Display, display_for
from disco_rq.errors import DiscoError, JobArgumentError, SettingsError
from disco_rq.local import LocalJob
from disco_rq.machine.escaping import escaped, unescaped_stream
from disco_rq.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class NumberOrPart(click.ParamType[float]):
    """A number, or a part of all: ``100``, ``0.01``, ``1%``."""

    name = "number or part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        try:
            if value.endswith("%"):
                return float(value[:-1]) / 100
            return int(value) if value.isdecimal() else float(value)
        except ValueError:
            self.fail(f"{value!r}: it takes a number, or a part of all, such as 0.01 or 1%", param, ctx)


def program_options(function: F) -> F:
    """PROGRAM INPUT… and the options that win over what the program says."""
    for decorate in (
        click.argument("inputs", nargs=-1, metavar="[INPUT…]", shell_complete=complete_files),
        click.argument("program", metavar="PROGRAM", shell_complete=complete_files),
        click.option(
            "--name", help="The job's name begins with it. [default: the program's name, or its file's]"
        ),
        click.option("-p", "--param", "param", multiple=True, metavar="NAME=VALUE", help="Set a parameter."),
        click.option("--sort/--no-sort", default=None, help="Whether a reduce gets equal keys together."),
        click.option(
            "--max-bad",
            type=NumberOrPart(),
            metavar="N",
            help="So many entries may be bad, or such a part of them: 100, 0.01, 1%.",
        ),
        click.option(
            "--pilot",
            type=NumberOrPart(),
            metavar="N",
            help="Run so many maps first, or such a part of them, and tell what the rest will take.",
        ),
        click.option(
            "--reuse/--no-reuse", default=None, help="Whether maps that earlier jobs have done are run again."
        ),
        click.option(
            "--explain", is_flag=True, help="Say of each map whether it is reused, or why it is run."
        ),
        click.option(
            "--check",
            type=NumberOrPart(),
            metavar="PART",
            help="Run such a part of the maps a second time, and compare: 0.05, 5%.",
        ),
        click.option("--nr-reduces", type=click.IntRange(min=0), metavar="N", help="How many reduces."),
        redis_option,
    ):
        function = decorate(function)
    return function


def described(program: str, inputs: Sequence[str], options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Load the program, and let the options win over it: the job's name and the other arguments of
    ``new_job``.
    """
    loaded = load_program(program)
    arguments = {"input": [], **loaded.arguments}
    arguments.update(
        {
            name: options[name]
            for name in ("sort", "nr_reduces", "max_bad", "reuse", "pilot", "check")
            if options[name] is not None
        }
    )
    params = with_params(arguments.pop("params", None), options["param"])
    if params is not None:
        arguments["params"] = params
    if inputs:
        arguments["input"] = list(inputs)
    elif "input" not in loaded.arguments:
        raise JobArgumentError(f"no input: name files, or give {program} a list of them as its input")
    return options["name"] or loaded.name, arguments


def submit_program(disco: Disco, program: str, inputs: Sequence[str], options: dict[str, Any]) -> Job:
    """Submit it as a job."""
    name, arguments = described(program, inputs, options)
    job = disco.new_job(name, **arguments)
    if options["explain"]:
        explain(disco, job.name)
    return job


@verb("disco-rq run wordcount.py --sort logs/*.txt.gz | sort -k2nr | head")
@program_options
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Workers of a cluster of its own.")
@click.option("--local", "here", is_flag=True, help="In this process, where breakpoints stop; no cluster.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the results to this file.")
@click.option("--yes", is_flag=True, help="After a pilot go on without a question.")
@click.option("--stream", is_flag=True, help="Print each result as soon as its task is done; no progress.")
@click.option("--logs", is_flag=True, help="Show what each task prints, when it has ended.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no messages, only errors.")
@json_option
def run(
    program: str,
    inputs: tuple[str, ...],
    redis: str | None,
    workers: int | None,
    here: bool,
    output: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a program and print its results.

    PROGRAM is a Python file or a dotted module with map and reduce, and any other argument of new_job, as
    names at its top level. INPUT are files, folders, globs or URLs. Results are KEY<TAB>VALUE lines, or JSON
    lines. Without the address of a Redis it runs on this machine, on a cluster that lives as long as the job;
    with --local in this process, one task after the other. Ctrl-C ends the job and deletes what there is of
    it; a unique job that was there before goes on. With --pilot some maps run first; then it tells what the
    rest will take, and asks, if there is a terminal.
    """
    console = Console(file=unescaped_stream(sys.stderr))
    _check_place(redis, workers, here=here, options=options)
    with results_file(output) as out, stopped_like_ctrl_c():
        if here:
            name, arguments = described(program, inputs, options)
            done = run_here(name, arguments, console, quiet=quiet)
            write_pairs(result_iterator(done.wait()), out, as_json=as_json)
            if not quiet:
                summarise(done, done.counters, sum(1 for _ in done.bad_entries()), console)
            return
        with Disco(redis, workers=workers) as disco:
            job = submit_program(disco, program, inputs, options)
            if not disco.is_embedded:
                lastjob.remember(job.name, disco.url)
            _follow(disco, job, out, console, {**options, "quiet": quiet, "as_json": as_json})
            if not quiet:
                info = job.jobinfo()
                check = info["check"] and f"maps checked {checks_line(info['check'])}"
                summarise(job, info["counters"], info["bad"], console, check=check or "")


def _check_place(redis: str | None, workers: int | None, *, here: bool, options: dict[str, Any]) -> None:
    """Options that say different things about where it is to run. ``SettingsError``."""
    if here:
        given = {"--redis": redis, "--workers": workers, "--stream": options["stream"]}
        given["--pilot"] = options["pilot"]
        if flags := [flag for flag, value in given.items() if value]:
            raise SettingsError(f"--local is for this process, and {flags[0]} for a cluster: leave one out")
    if workers is not None and (redis or Settings.from_env().redis):
        raise SettingsError(
            "--workers is for a cluster of its own, and an address of a Redis is given: leave one of them out"
        )


def _follow(disco: Disco, job: Job, out: BinaryIO, console: Console, options: dict[str, Any]) -> None:
    """Wait for the job, and write its results; purge it if nobody wants these any more. One that is somebody
    else's goes on.
    """
    stream, as_json = options["stream"], options["as_json"]
    display = shown(job, disco, console, quiet=options["quiet"] or stream, logs=options["logs"])
    try:
        asking = AtPilot(job, display, console, yes=options["yes"])
        asking.check_answerable(is_own=disco.is_embedded)
        if stream:
            with asking:
                follow_pairs(disco, job.name, out, as_json=as_json, display=asking)
            return
        addresses = job.wait(show=asking)
    except (KeyboardInterrupt, BrokenPipeError, Declined):
        if job.is_shared:
            told = f"job {job.name} goes on: it was there before, and others may wait for it"
        else:
            job.purge()
            told = f"job {job.name} is purged"
        console.print(f"disco-rq: {told}", markup=False, highlight=False, soft_wrap=True)
        raise
    write_pairs(result_iterator(addresses), out, as_json=as_json)


def shown(job: Job, disco: Disco, console: Console, *, quiet: bool, logs: bool) -> Display:
    """Its progress, unless it is to be quiet, and with ``logs`` what its tasks print."""
    display = display_for(console, quiet=quiet)
    return WithLogs(job, disco.session, display, console) if logs else display


@verb("disco-rq submit wordcount.py --redis redis://cluster http://files/a.txt && disco-rq wait @")
@program_options
@json_option
def submit(program: str, inputs: tuple[str, ...], redis: str | None, as_json: bool, **options: Any) -> None:
    """Submit a program and print the job's name.

    The cluster runs it, and keeps its results until they are purged.
    """
    with connect(redis) as disco:
        job = submit_program(disco, program, inputs, options)
        lastjob.remember(job.name, disco.url)
        if as_json:
            print_json({"job": job.name})
        else:
            click.echo(job.name)


@verb("disco-rq wait @ --timeout 3600")
@job_argument
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer.")
@click.option("--logs", is_flag=True, help="Show what each task prints, when it has ended.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no messages, only errors.")
@redis_option
@json_option
def wait(job: str, timeout: float | None, logs: bool, quiet: bool, redis: str | None, as_json: bool) -> None:
    """Wait for a job's end and print its results' addresses.

    Ctrl-C leaves the job running.
    """
    with connect(redis) as disco:
        console, found = Console(file=unescaped_stream(sys.stderr)), disco.job(job)
        addresses = found.wait(timeout, show=shown(found, disco, console, quiet=quiet, logs=logs))
        if as_json:
            print_json({"job": job, "results": addresses})
        else:
            for address in addresses:
                click.echo(address)


def summarise(
    job: Job | LocalJob, counters: Mapping[str, int], bad: int, console: Console, *, check: str = ""
) -> None:
    """What the job left besides its results: counters and OOB results, a few of them; what was checked."""
    told = [f"{name} {value:,}" for name, value in sorted(counters.items())]
    if check:
        told.insert(0, check)
    if bad:
        told.insert(0, f"bad entries left out {bad:,}")
    keys = job.oob_list()
    for key in keys[:8]:
        value = json_of(job.oob_get(key))
        told.append(f"{key} = {value if len(value) <= 60 else value[:59] + '…'}")
    if len(keys) > 8:
        told.append(f"and {len(keys) - 8} more OOB results")
    for line in told:
        console.print(f"  {escaped(line, one_line=True)}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def results_file(path: Path | None) -> Iterator[BinaryIO]:
    """Where results go: stdout, or a file that appears complete or not at all. Refused before any work."""
    if path is None:
        yield sys.stdout.buffer
        return
    try:
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise DiscoError(f"--output {path}: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as out:
            yield out
        umask = os.umask(0)
        os.umask(umask)
        Path(aside).chmod(0o666 & ~umask)  # mkstemp made it for us alone
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """While inside, a polite kill or a closed terminal ends the program as Ctrl-C does, job and all."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


VERBS = (run, submit, wait)
