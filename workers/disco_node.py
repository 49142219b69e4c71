"""Settings for a plain ``rq worker`` that joins a disco-rq cluster as one slot of a node.

    PYTHONHASHSEED=0 DISCO_RQ_REDIS=redis://host:6379/0 DISCO_RQ_NODE=node1 \\
        DISCO_RQ_DATA=/srv/disco rq worker --path workers -c disco_node -w disco_rq.worker.DiscoWorker

RQ reads the names in capitals here; the worker class it takes from ``-w`` or RQ_WORKER_CLASS only. Start it
once for each slot; all slots of a node need the same DISCO_RQ_NODE and DISCO_RQ_DATA.
"""

from __future__ import annotations

from disco_rq.errors import SettingsError
from disco_rq.settings import Settings
from disco_rq.store import keys
from disco_rq.store.address import is_cluster, is_sentinel, rq_sentinel

_settings = Settings.from_env()
if _settings.redis is None:
    raise SettingsError("set DISCO_RQ_REDIS to the address of the cluster's Redis")
if is_cluster(_settings.redis):
    raise SettingsError("rq's own command cannot follow a Redis Cluster: start disco-rq node instead")

REDIS_URL = None if is_sentinel(_settings.redis) else _settings.redis
SENTINEL = rq_sentinel(_settings.redis) if is_sentinel(_settings.redis) else None
QUEUES = [keys.queue(_settings.node)]
