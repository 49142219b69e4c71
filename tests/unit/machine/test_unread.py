"""Variables that look like settings and are none."""

from __future__ import annotations

import pytest

from disco_rq.machine.unread import unread
from disco_rq.settings import NAMES


def test_what_is_a_setting_or_no_affair_of_ours_is_not_told() -> None:
    others = ["DISCO_RQX_SLOTS", "_DISCO_RQ_COMPLETE", "HOME", "disco_rq_label"]
    kubernetes = [
        "DISCO_RQ_REDIS_SERVICE_HOST",
        "DISCO_RQ_REDIS_SERVICE_PORT_REDIS",
        "DISCO_RQ_REDIS_PORT",
        "DISCO_RQ_REDIS_PORT_6379_TCP_ADDR",
    ]
    assert list(unread(dict.fromkeys([*NAMES, *others, *kubernetes], "x"))) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LABEL", " (DISCO_RQ_LABELS?)"),
        ("GRACEE", " (DISCO_RQ_GRACE?)"),
        ("TASKMEMORY", " (DISCO_RQ_TASK_MEMORY?)"),
        ("SLOTS", " (it is --slots of 'disco-rq node')"),
        ("OF_ANOTHER_VERSION", ""),
    ],
)
def test_another_is_told_with_what_is_meant(name: str, meant: str) -> None:
    assert list(unread({f"DISCO_RQ_{name}": "x"})) == [
        f"DISCO_RQ_{name} is set, and no setting is called so{meant}"
    ]
