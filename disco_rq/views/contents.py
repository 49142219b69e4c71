"""The JSON of what a job read and gave, and of what went wrong in it.

``shapes`` has it, too.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = [
    "FailureExample",
    "FailureGroup",
    "Failures",
    "InputEntry",
    "InputPart",
    "Inputs",
    "JobState",
    "Preview",
    "PreviewRecord",
    "Result",
    "Results",
]

JobState = Literal["active", "ready", "dead"]


class FailureExample(Struct):
    """``replay``: the command that runs it once more; empty if it did not fail by itself."""

    task: str
    attempt: int
    node: str
    message: str
    url: str
    traceback: str
    replay: str


class FailureGroup(Struct):
    cause: str
    kind: str
    count: int
    tasks: list[str]
    task_count: int
    nodes: list[str]
    first: int
    last: int
    example: FailureExample
    fatal: bool


class Failures(Struct):
    failed: int
    groups: list[FailureGroup]
    truncated: bool


class InputPart(Struct):
    replicas: list[str]
    start: int
    length: int | None


class InputEntry(Struct):
    task: str
    parts: list[InputPart]


class Inputs(Struct):
    total: int
    offset: int
    limit: int
    inputs: list[InputEntry]


class Result(Struct):
    index: int
    address: str
    task: str
    records: int | None
    bytes: int | None


class Results(Struct):
    state: JobState
    total: int
    offset: int
    limit: int
    results: list[Result]


class PreviewRecord(Struct):
    """``repr`` of both, each cut at 500 characters."""

    key: str
    value: str


class Preview(Struct):
    """``error``: why the records cannot be shown."""

    index: int
    address: str
    records: list[PreviewRecord]
    more: bool
    error: str | None
