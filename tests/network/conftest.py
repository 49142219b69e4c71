"""The hosts on which these tests run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.network.lan import Lan, NotAllowed, running_lan


@pytest.fixture(scope="module")
def shared_lan() -> Iterator[Lan]:
    """Redis, a master, two nodes and a client on hosts of their own; skipped where no network can be made."""
    try:
        with running_lan() as lan:
            yield lan
    except NotAllowed as why:
        pytest.skip(f"network namespaces are not allowed here: {why}")


@pytest.fixture
def lan(shared_lan: Lan) -> Iterator[Lan]:
    """The hosts on a whole wire."""
    yield shared_lan
    shared_lan.wire.make_whole()
