"""Where record files are written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from disco_rq.records.spool import Spool


def test_a_file_of_ours_can_be_read_by_us_whatever_umask_a_task_has_set(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        spool = Spool(tmp_path / "out", 0)
        spool.write(b"content")
        spool.close()
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    assert (tmp_path / "out").read_bytes() == b"content"
