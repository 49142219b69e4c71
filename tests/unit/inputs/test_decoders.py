"""Every stream, member and frame of a compressed file is read, or an error names the file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from disco_rq.errors import DataError
from disco_rq.inputs import open_input
from disco_rq.inputs.content import codec_of
from disco_rq.model import Input

FIRST = b"first line\n" * 3
SECOND = b"".join(b"line %d of the second stream\n" % (i * 7919 % 1009) for i in range(200))


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _lz4(data: bytes) -> bytes:
    packed: bytes = lz4.frame.compress(data, content_checksum=True)
    return packed


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": _zstd, "lz4": _lz4,
}  # fmt: skip
every_codec = pytest.mark.parametrize("suffix", PACK)
SKIPPABLE = struct.pack("<II", 0x184D2A53, 700) + bytes(range(100)) * 7


def content_of(path: Path) -> bytes:
    with open_input(Input(str(path))) as (fd, _):
        return fd.read()


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[bytes, str], bytes]:
    """What is read of a file with these bytes and this name."""

    def read(data: bytes, name: str) -> bytes:
        (tmp_path / name).write_bytes(data)
        return content_of(tmp_path / name)

    return read


Packed = Callable[[bytes, str], bytes]


@every_codec
class TestStreamsInARow:
    @pytest.mark.parametrize("padding", [0, 1, 4, 16, 100_000])
    def test_padding_of_zeros_between_and_behind_is_passed_over(
        self, packed: Packed, suffix: str, padding: int
    ) -> None:
        zeros = bytes(padding)
        data = PACK[suffix](FIRST) + zeros + PACK[suffix](SECOND) + zeros
        assert packed(data, f"a.{suffix}") == FIRST + SECOND

    def test_streams_without_content_are_no_end(self, packed: Packed, suffix: str) -> None:
        empty, pack = PACK[suffix](b""), PACK[suffix]
        assert packed(empty + pack(FIRST) + empty * 3 + pack(SECOND) + empty, f"a.{suffix}") == FIRST + SECOND
        assert packed(empty, f"b.{suffix}") == b""

    def test_a_thousand_streams(self, packed: Packed, suffix: str) -> None:
        assert packed(PACK[suffix](FIRST) * 1000, f"a.{suffix}") == FIRST * 1000

    def test_garbage_behind_a_stream_is_an_error_that_says_where(self, packed: Packed, suffix: str) -> None:
        data = PACK[suffix](FIRST)
        for garbage in (b"garbage garbage", b"g", bytes(8) + b"g", PACK[suffix](SECOND)[1:], b"\n"):
            with pytest.raises(DataError, match=rf"cannot read .*/a\.{suffix}: what follows at byte \d+"):
                packed(data + garbage, f"a.{suffix}")

    def test_a_stream_of_another_kind_is_garbage(self, packed: Packed, suffix: str) -> None:
        other = PACK["xz" if suffix != "xz" else "gz"](SECOND)
        with pytest.raises(DataError, match=f"at byte {len(PACK[suffix](FIRST))} "):
            packed(PACK[suffix](FIRST) + other, f"a.{suffix}")

    def test_a_flipped_byte_of_the_second_stream_never_gives_less(self, packed: Packed, suffix: str) -> None:
        first, second = PACK[suffix](FIRST), PACK[suffix](SECOND)
        rest = random.Random(7).sample(range(200, len(second)), min(len(second) - 200, 60))
        places = [*range(200), *sorted(rest), *range(len(second) - 20, len(second))]
        told: set[str] = set()
        for place in places:
            for mask in (0xFF, 0x01, 0x80):
                broken = bytearray(second)
                broken[place] ^= mask
                try:
                    content = packed(first + bytes(broken) + first, f"a.{suffix}")
                except DataError as error:
                    told.add(str(error).partition(": ")[0])
                else:
                    assert content == FIRST + SECOND + FIRST, (place, mask)
        assert all(text.endswith(f"/a.{suffix}") for text in told)

    def test_cut_off_anywhere_is_an_error(self, packed: Packed, suffix: str) -> None:
        first, second = PACK[suffix](FIRST), PACK[suffix](SECOND)
        for size in [*range(1, 40), len(second) // 2, *range(len(second) - 20, len(second))]:
            with pytest.raises(DataError, match=rf"/a\.{suffix}: "):
                packed(first + second[:size], f"a.{suffix}")

    def test_an_empty_file_is_no_compressed_one(self, packed: Packed, suffix: str) -> None:
        with pytest.raises(DataError, match="is empty"):
            packed(b"", f"a.{suffix}")

    @pytest.mark.parametrize("name", ["access.log.1", "a.gzip", "a.bgz", "a", "a.txt.bak", "a.bz2", "a.gz"])
    def test_told_by_its_content_whatever_its_name(self, packed: Packed, suffix: str, name: str) -> None:
        assert packed(PACK[suffix](SECOND), name) == SECOND

    def test_a_long_run_of_zeros_is_read_in_bounded_memory(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / "a").write_bytes(PACK[suffix](bytes(50_000_000)))
        tracemalloc.start()
        try:
            with open_input(Input(f"{tmp_path}/a")) as (fd, _):
                assert sum(len(chunk) for chunk in iter(lambda: fd.read(1 << 20), b"")) == 50_000_000
            assert tracemalloc.get_traced_memory()[1] < 16_000_000  # a window of xz has 8 MiB
        finally:
            tracemalloc.stop()


class TestOfOneFormat:
    @pytest.mark.parametrize("window_log", [10, 27, 28, 31])
    def test_zstd_with_any_window(self, packed: Packed, window_log: int) -> None:
        how = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log, enable_ldm=True)
        out = zstandard.ZstdCompressor(compression_params=how).compressobj()
        assert packed(out.compress(SECOND) + out.flush(), "RC_2024-01.zst") == SECOND

    @pytest.mark.parametrize("suffix", ["zst", "lz4"])
    @pytest.mark.parametrize("name", ["a.{}", "a.dat"])
    def test_frames_to_be_skipped_are_skipped(self, packed: Packed, suffix: str, name: str) -> None:
        small, frame = struct.pack("<II", 0x184D2A50, 4) + b"size", PACK[suffix]
        data = small + frame(FIRST) + SKIPPABLE + small + frame(SECOND) + SKIPPABLE
        assert packed(data, name.format(suffix)) == FIRST + SECOND
        with pytest.raises(DataError, match="cut off"):
            packed(data[:-1], name.format(suffix))

    @pytest.mark.parametrize("suffix", ["zst", "lz4"])
    def test_a_long_frame_to_be_skipped_at_the_start_hides_no_kind(self, packed: Packed, suffix: str) -> None:
        long = struct.pack("<II", 0x184D2A50, 7000) + bytes(7000)
        assert packed(long + PACK[suffix](FIRST) + SKIPPABLE, "a.dat") == FIRST

    def test_members_with_every_field_of_a_gzip_header(self, packed: Packed) -> None:
        plain = gzip.compress(SECOND)
        extra = b"\x06\x00BC\x02\x00\x1b\x00"  # as bgzip writes
        member = plain[:3] + b"\x1c" + plain[4:10] + extra + b"name\0" + b"comment\0" + plain[10:]
        assert packed(member * 3, "a.gz") == SECOND * 3

    def test_the_legacy_format_of_lz4_is_refused_by_name(self, packed: Packed) -> None:
        with pytest.raises(DataError, match="legacy format of lz4"):
            packed(b"\x02\x21\x4c\x18" + bytes(20), "a.dat")

    def test_text_that_begins_like_a_compressed_file_is_text(self, packed: Packed) -> None:
        for text in (b"BZh9 is how bzip2 begins\n", b"BZh\n", b"\x1f\x8b\n"):
            assert packed(text, "a.txt") == text

    def test_raw_text_is_never_compressed(self) -> None:
        with open_input(Input("raw://see notes.gz")) as (fd, _):
            assert fd.read() == b"see notes.gz"
        assert codec_of(b"", None) is None
