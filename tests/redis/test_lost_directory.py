"""A node whose data directory somebody has deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from disco_rq.outputs.datadir import DataDir
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore, closed_nodes
from disco_rq.worker.leases import LeaseKeeper


def test_a_node_whose_directory_is_gone_takes_no_tasks_and_says_so(
    connection: Connection, tmp_path: Path
) -> None:
    data = DataDir(tmp_path / "data")
    data.prepare()
    NodeStore(connection, "n1").register({"host": "h"})
    keeper = LeaseKeeper(
        connection,
        node="n1",
        worker="n1.0",
        data=data,
        min_free=1,
        end_horse=lambda: None,
        about=lambda: {"host": "h"},
    )
    keeper._look_at_disk()
    assert closed_nodes(connection) == {}

    shutil.rmtree(data.root)
    keeper._look_at_disk()
    keeper._report()  # which goes on with all else

    assert closed_nodes(connection) == {"n1": f"its data directory {data.root} is gone: start it again"}

    data.prepare()
    keeper._look_at_disk()

    assert closed_nodes(connection) == {}
