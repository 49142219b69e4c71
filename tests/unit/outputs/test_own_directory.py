"""A node's directory is read directly where it is our own user's, whoever tells where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from disco_rq.outputs.datadir import DataDir
from disco_rq.outputs.locator import readable_root


def told(root: Path, word: str) -> dict[str, str]:
    return {"data": str(root), "word": word}


def test_the_same_directory_of_our_own_is_read(tmp_path: Path) -> None:
    word = DataDir(tmp_path).prepare()
    assert readable_root(told(tmp_path, word)) == tmp_path.resolve()
    assert readable_root(told(tmp_path, "another")) is None
    assert readable_root(told(tmp_path / "none", word)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("by_link", [False, True])
def test_a_directory_of_another_user_is_not_read_whatever_it_says(tmp_path: Path, by_link: bool) -> None:
    theirs = tmp_path / "theirs"
    word = DataDir(theirs).prepare()
    for path in (theirs, *theirs.iterdir()):
        os.chown(path, 12345, 12345)
    link = tmp_path / "link"
    link.symlink_to(theirs)
    assert readable_root(told(link if by_link else theirs, word)) is None
