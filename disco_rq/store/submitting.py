"""What ``submit_job.lua`` is called with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

import msgpack

from disco_rq.model import JobSpec, MapInput, TaskId
from disco_rq.packing import JobSeal
from disco_rq.planning.pilot import PilotPlan
from disco_rq.store import keys
from disco_rq.store.ends import packed_call
from disco_rq.store.keptinputs import packed_inputs

__all__ = ["submit_call"]


def submit_call(
    spec: JobSpec, pack: bytes, inputs: Sequence[MapInput], seal: JobSeal
) -> tuple[tuple[str, list[str], list[Any]], str]:
    """The call, and the token of the submission. ``seal`` signs the inputs; the same call may be made again
    after a lost answer.
    """
    job = keys.JobKeys(spec.name)
    # The server's own msgpack knows the format's older strings only.
    sealed = [seal.sign_input(index, packed) + packed for index, packed in enumerate(packed_inputs(inputs))]
    all_inputs = msgpack.packb(sealed, use_bin_type=False)
    script_keys = [keys.LEADER, keys.JOBS, keys.ACTIVE, keys.CONTROL]
    script_keys += [job.job, job.spec, job.pack, job.inputs, job.events, job.pilot, keys.ENDS, keys.UNIQUE]
    digests = sorted(set((spec.details.get("code") or {}).values()))
    script_keys += map(keys.codes, digests)
    args: list[Any] = [spec.name, spec.pack(), pack, spec.owner, spec.priority]
    args += [spec.nr_maps, spec.nr_reduces if spec.has_reduce else 0]
    token = secrets.token_hex(8)
    args += [all_inputs, int(not inputs), token]
    args += ["" if spec.gc_after is None else spec.gc_after, spec.max_bad or ""]
    args += [_pilot_of(spec), spec.details.get("unique", "")]
    args.append(seal.seal_end(packed_call(spec.on_end)) if spec.on_end else b"")
    args += [" ".join(digests), _reuse_of(spec), len(spec.checked)]
    return ("submit_job", script_keys, args), token


def _pilot_of(spec: JobSpec) -> bytes:
    """The maps of its pilot, packed; nothing where it has none."""
    told = spec.details.get("pilot")
    if told is None:
        return b""
    return bytes(msgpack.packb([str(TaskId("map", index)) for index in PilotPlan.unpack(told).maps]))


def _reuse_of(spec: JobSpec) -> str:
    """Why maps of it are run that might be another job's, for people; empty where it does not want that."""
    told = spec.details.get("reuse") or {}
    counts = {why: sum(length for _, _, length in runs) for why, runs in told.items()}
    return json.dumps(counts) if spec.reuse else ""
