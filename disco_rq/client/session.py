"""What a client holds of the cluster that it has opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from disco_rq.client.fitness import FitnessCheck
from disco_rq.client.partitioned import PARTITIONED, check_alike, with_ranges
from disco_rq.client.results import Results, count_partitions, results_of
from disco_rq.client.reusing import planned_reuse
from disco_rq.client.submission import Submission, build
from disco_rq.errors import BadSignature, DiscoError, UnknownJob
from disco_rq.inputs.rediskeys import place_of
from disco_rq.model import JobSpec, Phase
from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import Locator, readable_root
from disco_rq.packing import Signer, fingerprints
from disco_rq.saving import check_outputs, genuine_parts, settle
from disco_rq.settings import Settings
from disco_rq.store.adoption import Adoption, AdoptionStore
from disco_rq.store.attempts import add_event
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.givenkeys import GivenKeys
from disco_rq.store.history import History
from disco_rq.store.identity import cluster_id
from disco_rq.store.jobs import JobStore
from disco_rq.store.nodes import node_about

__all__ = ["HasSession", "Session", "Submitted"]

MOST_NAMES = 20
"""So many names are tried for a job. Each is one of 1.7 million in its second."""


class Submitted(NamedTuple):
    """The job that a submit gives."""

    name: str
    is_shared: bool = False
    """It was there: a ``unique`` job that somebody else waits for, too."""


class Session:
    """A connection to a cluster, and what is asked over it."""

    def __init__(self, address: str, settings: Settings, *, is_own: bool) -> None:
        """``is_own``: the cluster is this very installation, so that its workers have what is here."""
        self.connection = Connection(address)
        self.store = JobStore(self.connection)
        self.history = History(self.connection)
        self.ending = Ending(self.connection)
        self.use_secret(settings.secret)
        self._fitness = None if is_own else FitnessCheck(self.connection)

    def use_secret(self, secret: bytes | None) -> None:
        """For a program that does not have it from its environment."""
        self._secret = secret
        self.locator = Locator(lambda node: node_about(self.connection, node), secret=secret)

    @property
    def has_secret(self) -> bool:
        """Whether jobs are signed."""
        return self._secret is not None

    @property
    def fingerprints(self) -> list[str]:
        """Of the keys of its secret."""
        return fingerprints(self._secret)

    def close(self) -> None:
        """Idempotent."""
        self.connection.close()

    def submit(self, name: str, input: Any, arguments: Any) -> Submitted:
        """Check, pack and store a job; raises what ``Disco.new_job`` says."""
        partitions_of = partial(count_partitions, self.locator)
        submission = build(name, input, arguments, self.signer(), partitions_of, self.keys_at)
        check_alike(submission.spec, submission.functions, self.partitioned)
        if not submission.spec.reuse:
            return self.store_job(submission)
        any_number = arguments.get("nr_reduces") is None
        submission, reuse = planned_reuse(self, submission, any_number=any_number)
        submitted = self.store_job(submission, reuse.adoptions)
        if (note := reuse.note()) and not submitted.is_shared:
            add_event(self.connection, submitted.name, "client", note)
        return submitted

    def store_job(
        self, submission: Submission, adopted: Callable[[Submission], Sequence[Adoption]] = lambda _: ()
    ) -> Submitted:
        """Store a job that is checked, with what it has ``adopted``, as it is called now."""
        if self._fitness is not None:
            self._fitness.check(submission.modules)
        for _ in range(MOST_NAMES):
            spec = submission.spec
            found = self.store.submit(
                spec, submission.pack, submission.inputs, submission.seal, adopted(submission)
            )
            if found is not None and found != spec.name:
                return Submitted(found, is_shared=True)
            if found is not None:
                for note in submission.notes():
                    add_event(self.connection, found, "client", note)
                return Submitted(found)
            submission = submission.renamed()
        raise DiscoError(f"no free name for a job: {MOST_NAMES} are taken, {spec.name} among them")

    def keys_at(self, address: str) -> GivenKeys:
        """Lists and streams of Redis at an address of an input."""
        keys = GivenKeys(self.connection)
        keys.check_own(place_of(address))
        return keys

    def partitioned(self, name: str) -> str:
        """How the results of a job are partitioned; empty: nobody knows."""
        try:
            word = self.signed_spec(name).details.get(PARTITIONED) or ""
        except (BadSignature, UnknownJob):
            return ""
        _, digest = AdoptionStore(self.connection).ranges(name)
        return with_ranges(word, digest)

    def signer(self) -> Signer:
        """The signatures of this cluster."""
        return Signer(self._secret, cluster_id(self.connection) if self._secret else "")

    def signed_spec(self, name: str) -> JobSpec:
        """``BadSignature`` if it is not as its client has signed it; ``UnknownJob``."""
        return self.store.signed_spec(name, self.signer())

    def results_of(self, name: str, *, settled: bool = True, phase: Phase | None = None) -> Results:
        """The results of a job that is ready, or what the tasks of a phase have committed. ``settled``: saved
        ones have their final names.
        ``BadSignature`` if an address of one is not the job's own.
        """
        outputs = self.store.outputs(name)
        check_outputs(name, outputs, lambda: self.signed_spec(name))
        return results_of(outputs, self.locator, settled=settled, phase=phase)

    def settle(self, name: str) -> None:
        """Saved results of a job that is ready get their final names, before the job is forgotten."""
        settle(genuine_parts(name, self.store.outputs_of_tasks(name), lambda: self.signed_spec(name)))

    def delete_here(self, node: str, name: str) -> bool:
        """Delete the files of a job that nobody runs any more from a node's directory, if that can be done
        from here. Whether none is left there.
        """
        root = readable_root(node_about(self.connection, node))  # as it is now: it may have moved
        if root is None:
            return False
        data = DataDir(root)
        data.purge(name)
        return not data.job(name).exists()


class HasSession(Protocol):
    """Who has opened a cluster: ``Disco``."""

    @property
    def session(self) -> Session: ...
