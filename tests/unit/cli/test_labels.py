"""Labels as options: one each, or several with commas between."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from disco_rq.cli.cluster import node
from disco_rq.errors import SettingsError


def test_a_label_with_a_blank_is_refused_and_not_taken_as_two() -> None:
    arguments = ["--redis", "redis://127.0.0.1:1", "--label", "ssd, ram=64", "--label", "g pu"]
    with pytest.raises(SettingsError, match="--label 'g pu': no label has a blank in it; for several give"):
        CliRunner().invoke(node, arguments, catch_exceptions=False, standalone_mode=False)
