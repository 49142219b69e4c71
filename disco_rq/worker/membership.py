"""Which cluster a node belongs to, and which jobs are of it: told by its own disk, not by Redis."""

from __future__ import annotations

from disco_rq.errors import SettingsError
from disco_rq.outputs.datadir import CLUSTER_ID, DataDir
from disco_rq.packing import Signer
from disco_rq.store.connection import Connection
from disco_rq.store.identity import tell_cluster

__all__ = ["join_cluster"]


def join_cluster(connection: Connection, data: DataDir, secret: bytes | None) -> Signer:
    """The signatures that count on this node. The first cluster that it has joined is its own for good.

    ``SettingsError`` if Redis tells of another one: whoever can write there could bring jobs from there that
    the same secret has signed. Without a secret nothing is signed, and nothing asked.
    """
    if secret is None:
        return Signer()
    known = data.cluster()
    told = tell_cluster(connection, known)
    own = known or data.join(told)
    if told != own:
        raise SettingsError(
            f"{data.root} belongs to another cluster than Redis at {connection.address} tells of: if it has "
            f"moved, or that Redis was emptied, delete {data.root / CLUSTER_ID} on every node"
        )
    return Signer(secret, own)
