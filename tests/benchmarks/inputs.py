"""Inputs of the benchmarks: seeded, made once, kept under the temporary directory of the machine."""

from __future__ import annotations

import random
import string
import tempfile
from collections import Counter
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / "disco-rq-bench"
WORDS = 60_000
BLOCKS = 48
BLOCK_BYTES = 256 << 10
LINE_WORDS = 10
RECORD_BYTES = 100


class Text:
    """Files of lines of words, a few words frequent and many rare, with the count of every word known."""

    def __init__(self, size_bytes: int, nr_files: int) -> None:
        self._blocks = _blocks()
        of_file = max(1, size_bytes // nr_files // BLOCK_BYTES)
        rnd = random.Random(size_bytes)
        self._order = [[rnd.randrange(BLOCKS) for _ in range(of_file)] for _ in range(nr_files)]
        self.paths = [CACHE / f"text-{size_bytes}-{nr_files}-{i}.txt" for i in range(nr_files)]
        CACHE.mkdir(exist_ok=True)
        for path, order in zip(self.paths, self._order, strict=True):
            if not path.exists():
                _write(path, [self._blocks[i] for i in order])

    def counts(self) -> dict[str, int]:
        """How often each word is in the files."""
        uses = Counter(i for order in self._order for i in order)
        total: Counter[str] = Counter()
        for i, times in uses.items():
            for word, number in Counter(self._blocks[i].split()).items():
                total[word] += number * times
        return dict(total)


def _blocks() -> list[str]:
    rnd = random.Random(7)
    letters = string.ascii_lowercase
    words = ["".join(rnd.choices(letters, k=rnd.randint(2, 11))) for _ in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    blocks = []
    for _ in range(BLOCKS):
        drawn = rnd.choices(words, weights, k=BLOCK_BYTES // 6)
        lines = [" ".join(drawn[i : i + LINE_WORDS]) + "\n" for i in range(0, len(drawn), LINE_WORDS)]
        blocks.append("".join(lines))
    return blocks


def records(size_bytes: int, nr_files: int) -> list[Path]:
    """Files of 100-byte lines, each with ten random digits in front."""
    CACHE.mkdir(exist_ok=True)
    paths = [CACHE / f"records-{size_bytes}-{nr_files}-{i}.txt" for i in range(nr_files)]
    rnd = random.Random(9)
    rests = ["".join(rnd.choices(string.ascii_letters, k=RECORD_BYTES - 12)) for _ in range(1000)]
    for path in paths:
        if not path.exists():
            number = size_bytes // nr_files // RECORD_BYTES
            _write(path, [f"{rnd.randrange(10**10):010d} {rnd.choice(rests)}\n" for _ in range(number)])
    return paths


def _write(path: Path, texts: list[str]) -> None:
    """Make the file whole or not at all."""
    aside = path.with_suffix(".aside")
    with aside.open("w") as out:
        out.writelines(texts)
    aside.rename(path)
