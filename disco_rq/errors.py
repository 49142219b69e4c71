"""Every error that disco-rq raises, in one tree.

    DiscoError
    ├── SettingsError            a DISCO_RQ_… variable or an option is wrong
    ├── ConnectionLost           Redis cannot be reached (the address is in the text)
    ├── RedisFull                Redis has reached its maxmemory, so nothing was written
    ├── NoMaster                 no master leads the cluster, so a job would wait for ever
    ├── UnfitNodes               nodes lack what a job needs, so nothing was queued
    ├── JobArgumentError         new_job() was called wrongly, nothing was queued (also a ValueError)
    │   └── Unshippable          a job function cannot be sent to the workers
    │       └── OtherVersion     this node has another Python or disco-rq than the job: it is for another node
    ├── UnknownJob               no job of that name
    ├── NodeAlive                the node is not gone, or not for long enough, and is not forgotten
    ├── JobError                 the job is dead, or a wait for it timed out
    ├── TaskError                raised inside a task; what follows is said by each class
    │   ├── JobFailure           ends the job, no retry
    │   ├── DataError            the task is re-run on another node
    │   │   ├── CorruptData      a record file is truncated, altered or gone
    │   │   └── TaskMemoryExceeded  its processes held more memory than its node allows
    │   ├── WrongContent         an input is no text, or another kind of file than its reader reads
    │   ├── BadEntryError        an entry cannot be used, and none may be left out, or no more
    │   ├── RecordTypeError      the record format does not hold a type (also a TypeError)
    │   ├── ProgramError         an external program died, or broke the protocol
    │   ├── PartitionError       a partition function answered outside [0, nr_reduces)
    │   ├── OOBKeyInvalid        the key breaks the rule of put()
    │   ├── OOBKeyExists         the key was put before in this job
    │   ├── OOBValueInvalid      the value is too large, or no JSON can hold it
    │   ├── OOBQuotaExceeded     the task has put its 1,000 results
    │   ├── OOBNotFound          no such key or no such job
    │   ├── OOBNotReadable       not readable from here: in a map, or from an active job
    │   ├── MessageQuotaExceeded more than 10 messages a second, and the job asked to fail
    │   └── TaskTimeout          the task ran longer than task_timeout
    ├── WebhookFailed            an address could not be told that a job has ended
    ├── BadSignature             a function pack is unsigned, altered, or signed with another key
    └── NotInTask                a runtime name was called outside a task

Unless a class says otherwise, an error that a job function lets through ends its job.
"""

from collections.abc import Sequence

__all__ = [
    "BadEntryError",
    "BadSignature",
    "ConnectionLost",
    "CorruptData",
    "DataError",
    "DiscoError",
    "JobArgumentError",
    "JobError",
    "JobFailure",
    "MessageQuotaExceeded",
    "NoMaster",
    "NodeAlive",
    "NotInTask",
    "OtherVersion",
    "OOBKeyExists",
    "OOBKeyInvalid",
    "OOBNotFound",
    "OOBNotReadable",
    "OOBQuotaExceeded",
    "OOBValueInvalid",
    "PartitionError",
    "ProgramError",
    "RecordTypeError",
    "RedisFull",
    "SettingsError",
    "TaskError",
    "TaskMemoryExceeded",
    "TaskTimeout",
    "UnfitNodes",
    "UnknownJob",
    "WebhookFailed",
    "Unshippable",
    "WrongContent",
]


class DiscoError(Exception):
    """Root of every error of disco-rq."""


class SettingsError(DiscoError):
    """A setting is wrong; the text names the variable or option and what it takes."""


class ConnectionLost(DiscoError):
    """Redis cannot be reached; the text names the address, without its password."""


class RedisFull(DiscoError):
    """Redis has reached its ``maxmemory`` and refused a write whole. Masters and workers wait instead."""


class NoMaster(DiscoError):
    """No master leads the cluster: a submitted job would wait for ever, so nothing was queued."""


class UnfitNodes(DiscoError):
    """No node has the job's Python and disco-rq, or one lacks a package; the text names each. Nothing was
    queued.
    """


class JobArgumentError(DiscoError, ValueError):
    """An argument of ``new_job`` is wrong; the text names it. Nothing was queued."""


class Unshippable(JobArgumentError):
    """A job function, or something it uses, cannot be sent to the workers; the text names it."""


class OtherVersion(Unshippable):
    """A node cannot run the job, since its Python or its disco-rq is another: the task is for other nodes."""


class NodeAlive(DiscoError):
    """Only a node that has been gone for a minute can be forgotten."""


class UnknownJob(DiscoError):
    """There is no job of that name, or its records were cleaned."""


class JobError(DiscoError):
    """The job is dead (the text has the first cause), or a wait for it timed out."""


class TaskError(DiscoError):
    """Something went wrong inside a task."""


class JobFailure(TaskError):
    """Ends the job at once, with the message as its cause. Raised by ``err``."""


class WrongContent(TaskError):
    """An input is nothing that its reader reads; the text says what it is and what reads it. Ends a job."""


class BadEntryError(TaskError):
    """An entry of an input cannot be used; the text has its address, the byte where it begins, and why.

    Raised by ``skip_entry`` and by readers where ``max_bad`` allows none, and where there are more bad
    entries than it allows. Ends the job.
    """

    left_out: str = ""
    """What the attempt has left out, where that is too much."""


class DataError(TaskError):
    """The task is re-run on another node, or with the next replica of its input. Raised by ``data_err``.

    ``url`` is the address of the input at fault, if known.
    """

    def __init__(self, message: str, url: str | None = None) -> None:
        super().__init__(message)
        self.url = url

    def __str__(self) -> str:
        message = str(self.args[0])
        return message if self.url is None or self.url in message else f"{message} ({self.url})"


class CorruptData(DataError):
    """A record file is truncated, altered or gone. As the input of a reduce it makes its map run again.

    ``urls`` are the addresses of all files that are known to be lost, ``url`` the first of them.
    """

    def __init__(self, message: str, url: str | None = None, *, urls: Sequence[str] = ()) -> None:
        super().__init__(message, url)
        self.urls = tuple(urls) or ((url,) if url is not None else ())


class TaskMemoryExceeded(DataError):
    """The processes of a task held more than DISCO_RQ_TASK_MEMORY of their node, and were killed.

    Like a lost worker it is re-run on another node, which may allow more, up to ``max_failures`` times.
    """


class RecordTypeError(TaskError, TypeError):
    """A key or value has a type that the record format does not hold; the text names the type."""


class PartitionError(TaskError):
    """A partition function answered something else than an int in ``[0, nr_reduces)``."""


class ProgramError(TaskError):
    """An external program ended with an error, or broke the protocol; the text has its last words.

    Like any exception it asks ``task_retries``. A program that a signal killed is a ``DataError`` instead.
    """


class OOBKeyInvalid(TaskError):
    """The key is not a ``str`` of 1 to 256 characters, each one in ``[a-zA-Z_\\-:0-9]``."""


class OOBKeyExists(TaskError):
    """The key was put before in this job, by this task or another."""


class OOBValueInvalid(TaskError):
    """The value is larger than ``oob_value_limit`` bytes, or neither str, bytes nor JSON."""


class OOBQuotaExceeded(TaskError):
    """The task has put its 1,000 results already."""


class OOBNotFound(TaskError):
    """There is no OOB result under that key, or no such job."""


class OOBNotReadable(TaskError):
    """OOB results cannot be read from here: in a map task, or of a job that is still active."""


class MessageQuotaExceeded(TaskError):
    """The job sends more than 10 messages a second, and was submitted with ``msg_overflow="fail"``."""


class TaskTimeout(TaskError):
    """The task ran longer than the job's ``task_timeout``."""


class WebhookFailed(DiscoError):
    """The address was not told that a job has ended: not at the last try, or it may not be told.

    Raised in the RQ worker of the queue ``disco-webhooks``; RQ keeps it with its failed jobs.
    """


class BadSignature(DiscoError):
    """A function pack is unsigned, altered, or signed with another key; not a byte of it was unpickled."""


class NotInTask(DiscoError):
    """A name of ``disco_rq.runtime`` was called outside a task."""
