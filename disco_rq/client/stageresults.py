"""What the tasks of one stage of a job wrote."""

from __future__ import annotations

from typing import Protocol

from disco_rq.client.results import Results
from disco_rq.client.session import Session
from disco_rq.errors import DiscoError
from disco_rq.model import PHASES, Phase

__all__ = ["stage_results"]


class OfCluster(Protocol):
    """A job: its name, and the cluster that has it."""

    name: str
    _session: Session


def stage_results(self: OfCluster, stage: Phase) -> Results:
    """The addresses of what the tasks of a stage, "map" or "reduce", have committed by now, in order.

    Those of the last stage are the job's results. Outputs of maps that reduces read are kept until the job is
    purged; a job that only reduces reads them by partition. Raises ``UnknownJob``.
    """
    if stage not in PHASES:
        raise DiscoError(f'stage_results({stage!r}): it takes "map" or "reduce"')
    is_ready = self._session.store.record(self.name).status == "ready"
    return self._session.results_of(self.name, settled=is_ready, phase=stage)
