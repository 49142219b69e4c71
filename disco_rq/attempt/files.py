"""The files of a task: what it reads, wherever that lies, and where its complete output goes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from disco_rq.attempt.place import Place
from disco_rq.inputs import open_input
from disco_rq.inputs.rediskeys import KeysAt, is_key
from disco_rq.model import Input, JobSpec, TaskId
from disco_rq.outputs.addresses import output_address, preferred_node
from disco_rq.outputs.fetch import reduce_sources
from disco_rq.outputs.locator import Locator
from disco_rq.outputs.remote import NODE_PATIENCE_S, RemoteFile
from disco_rq.records import Source, sync_directory, sync_file
from disco_rq.saving import upload
from disco_rq.stages import TaskWork
from disco_rq.stages.inputsource import InputSource
from disco_rq.stages.mapping import Opener
from disco_rq.store.givenkeys import GivenKeys

__all__ = ["merged_sources", "opener_with", "place_bad", "place_output"]


def opener_with(
    locator: Locator, patience_s: float = NODE_PATIENCE_S, *, keys: KeysAt | None = None
) -> Opener:
    """``open_input``, which finds ``disco://`` addresses with the locator, with patience, and those of lists
    and streams with ``keys``.
    """

    def resolve(address: str) -> str | RemoteFile | GivenKeys:
        if keys is not None and is_key(address):
            return keys(address)
        path = locator.path(address)
        if path is not None:
            return str(path)
        return RemoteFile(address, lambda: locator.server(address), patience_s=patience_s)

    return partial(open_input, resolve=resolve)


def merged_sources(
    work: TaskWork, inputs: Sequence[Input], locator: Locator, patience_s: float = NODE_PATIENCE_S
) -> list[Source]:
    """The sources of a reduce without maps: its partition of earlier results, or files of any kind."""
    opener = opener_with(locator, patience_s)
    results = [entry.url for entry in inputs if preferred_node(entry.url)]
    sources = reduce_sources(locator, results, work.task.index, work.scratch, patience_s=patience_s)
    fetched = iter(sources)
    has_reader = work.functions.reduce_reader is not None
    return [
        next(fetched) if preferred_node(entry.url) else InputSource(entry, opener, has_reader)
        for entry in inputs
    ]


def place_output(work: TaskWork, attempt: int, place: Place, *, in_memory: bool = False) -> str:
    """Bring the complete output to where its commit says that it is: saved, or a file of this node.

    Returns the address. An output ``in_memory`` is left there: small ones are written together. A
    result is on the disk then, where ``place`` says so.
    """
    spec, task, aside = work.spec, work.task, place.scratch.out
    if spec.saves(task):
        save_by = work.functions.save_by
        address = upload(spec, task, attempt, aside, work.scratch, save_by=save_by, sync=place.fsync)
        aside.unlink(missing_ok=True)
        return address
    if not in_memory:
        _move(
            aside, place.data.output(spec.name, task, attempt), sync=place.fsync and spec.gives_result(task)
        )
    return output_address(place.node, spec.name, task, attempt)


def place_bad(spec: JobSpec, task: TaskId, attempt: int, place: Place) -> None:
    """Bring the bad entries of an attempt to where they are looked for when it counts. Nothing makes those of
    a job that has ended again.
    """
    _move(place.scratch.bad, place.data.bad(spec.name, task, attempt), sync=place.fsync)


def _move(aside: Path, out: Path, *, sync: bool) -> None:
    """Rename a complete file to its place; the first output of a job here makes its directory.

    With ``sync`` both are on the disk when this returns: what is there before is in no commit.
    """
    try:
        aside.rename(out)
    except FileNotFoundError:
        out.parent.mkdir(mode=0o700, exist_ok=True)
        aside.rename(out)
    if sync:  # after the rename: the disk is then asked once for the content and the name
        sync_file(out)
        sync_directory(out.parent)
        sync_directory(out.parent.parent)
