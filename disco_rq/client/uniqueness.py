"""What tells a job that is to be unique from others: code, params, input, what else its result is of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import msgpack

from disco_rq.client.identity import CannotTell, identity_of
from disco_rq.errors import JobArgumentError
from disco_rq.model import Functions, Input, JobSpec, MapInput
from disco_rq.packing.required import Required

__all__ = ["Content", "digest_of"]

_NOT_OF_THE_RESULT = frozenset(
    ("details", "gc_after", "on_end", "pilot", "priority", "protocol", "reuse", "unique")
)
"""Fields of a spec. Who asks for the same result with another priority gets the job that is there."""


class Content(NamedTuple):
    """What a job is made of, besides its spec."""

    functions: Functions
    params: Any
    required: Required
    inputs: Sequence[MapInput]


def digest_of(spec: JobSpec, content: Content) -> str:
    """Equal for jobs of the same name, owner, code, params and input, with arguments that give the same.

    ``JobArgumentError`` if it cannot be told: an object of a class of C, such as a lock.
    """
    functions = {field.name: getattr(content.functions, field.name) for field in fields(content.functions)}
    try:
        told = identity_of(functions, content.params).digest
    except CannotTell as error:
        raise JobArgumentError(
            f"unique=True: nobody can tell {_at_fault(functions, content)}: {error}"
        ) from None
    arguments = {name: value for name, value in spec.to_dict().items() if name not in _NOT_OF_THE_RESULT}
    arguments["name"] = spec.name.partition("@")[0]
    inputs = [[[list(map(_input, part)) for part in entry.parts], entry.side] for entry in content.inputs]
    whole = msgpack.packb([told, arguments, content.required.pack(), inputs], unicode_errors="surrogatepass")
    return hashlib.blake2b(whole, digest_size=20, person=b"disco-rq unique").hexdigest()


def _at_fault(functions: Mapping[str, Any], content: Content) -> str:
    """Which argument it is that cannot be told from another one."""
    for name, value in {**functions, "params": content.params}.items():
        try:
            identity_of(value)
        except CannotTell:
            return f"what is in {name}" if name == "params" else f"what {name} does"
    return "whether a job is the same"


def _input(input: Input) -> list[Any]:
    """Which file it is, on whatever machine it was looked at."""
    then = input.identity
    known = [then.size, then.mtime_ns, then.tail, then.tag] if then else None
    return [input.url, input.start, input.length, known, input.is_whole, input.data]
