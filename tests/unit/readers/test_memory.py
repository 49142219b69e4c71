"""A reader of lines takes the memory of some lines, not of the file."""

from __future__ import annotations

import subprocess
import sys

import pytest

SIZE_MB = 128
PROGRAM = f"""
import io, resource, sys
import pyarrow
from disco_rq import func

LINE = b'{{"text": "' + b"x" * int(sys.argv[2]) + b'"}}\\n'
BLOCK = LINE * max((1 << 20) // len(LINE), 1)

class Generated(io.RawIOBase):
    left = {SIZE_MB << 20} // len(BLOCK) * len(BLOCK)
    at = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        size = min(len(buffer), self.left, len(BLOCK) - self.at)
        buffer[:size] = BLOCK[self.at:self.at + size]
        self.at = (self.at + size) % len(BLOCK)
        self.left -= size
        return size

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

reader = eval(sys.argv[1])
list(reader(io.BytesIO(LINE * 3), None, "in"))
before, stream = peak_mb(), Generated()
for _ in reader(io.BufferedReader(stream), None, "in"):
    pass
assert not stream.left
print(peak_mb() - before)
"""
READERS = {
    "func.map_line_reader": 8,
    "func.text_reader('cp1252')": 8,
    "func.text_reader('shift_jis')": 8,
    "func.bytes_lines()": 8,
    "func.jsonl_reader()": 8,
    "func.csv_reader()": 8,
    "func.csv_reader(quotechar=None)": 8,
    "func.csv_batches()": 150,
    "func.jsonl_batches()": 150,
}
"""And so many MB more than for three lines, a batch with up to 16 MiB of text among them."""


@pytest.mark.long
@pytest.mark.parametrize("letters", [1000, 60_000])
@pytest.mark.parametrize("reader", READERS)
def test_a_large_file_is_read_in_little_memory(reader: str, letters: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, reader, str(letters)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= READERS[reader]
