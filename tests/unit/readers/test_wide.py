# ruff: noqa: RUF001  letters that look like others are what is tested
"""Text of several bytes a letter with no mark, and zlib: told, and no other text with them."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

import pytest

from disco_rq.errors import WrongContent
from disco_rq.readers import refuse_other_than_text
from disco_rq.readers.wide import wide_encoding

HEAD_BYTES = 512
TEXTS = {
    "english": "a\nb\nc\n",
    "polish": "zażółć gęślą jaźń\nabc\n",
    "vietnamese": "Xin chào thế giới\nĐây là dòng\n",
    "russian": "Привет, мир!\nЭто — проверка №5 «кавычек»\n",
    "greek": "Γειά σου Κόσμε\nμια γραμμή\n",
    "hebrew": "שלום עולם\nשורה\n",
    "arabic": "مرحبا بالعالم\nسطر\n",
    "hindi": "नमस्ते दुनिया\nपंक्ति\n",
    "punjabi": "ਸਤ ਸ੍ਰੀ ਅਕਾਲ\nਦੁਨੀਆ\n",
    "thai": "สวัสดีชาวโลก\nบรรทัด\n",
    "korean": "안녕하세요 세계\n두 번째 줄\n",
    "chinese": "中文文本,测试一下。\n这是第二行上面的内容\n",
    "chinese, short": "中文\n日本\n",
    "chinese with numbers": "名称,12345,67890\n价格,1,2\n",
    "japanese": "これはテストです。\n日本語のテキスト、ログの行。\n",
    "kana": "あいう\nえお\n",
    "emoji": "🙂🙂 ok\nля 🙂\n",
}
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
FRENCH = "Le café était fermé à midi, où êtes-vous ? Noël ; élève 12.5"
RUSSIAN = "2024-01-01 ОШИБКА: соединение потеряно, повтор через 5 с"
ENGLISH = '2024-01-01 12:00:01 INFO worker[12] "GET /index.html?id=7" 200'
LOGS = [
    *((FRENCH, encoding) for encoding in ("utf-8", "cp1252")),
    *((RUSSIAN, encoding) for encoding in ("utf-8", "cp1251", "koi8-r", "iso8859-5")),
    (ENGLISH, "ascii"),
]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("language", TEXTS)
def test_wide_text_without_a_mark_is_refused_with_the_reader_that_reads_it(
    language: str, encoding: str
) -> None:
    for text in (TEXTS[language], TEXTS[language].replace("\n", "\r\n"), TEXTS[language] * 50):
        head = text.encode(encoding)[:HEAD_BYTES]
        with pytest.raises(WrongContent, match=rf'func\.text_reader\("{encoding}"\)'):
            refuse_other_than_text(head, "in.txt")
        refuse_other_than_text(head, "in.txt", encoding)


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("language", ["russian", "greek", "chinese", "japanese"])
def test_wide_text_cut_within_a_letter_is_told(language: str, encoding: str) -> None:
    data = (TEXTS[language] * 20).encode(encoding)
    for size in range(HEAD_BYTES - 5, HEAD_BYTES):
        assert wide_encoding(data[:size]) == encoding


def disturbed(text: str, encoding: str) -> Iterator[bytes]:
    """Logs in which some lines hold NULs, escape sequences, or leftovers of binary data."""
    dice = random.Random(text)
    for _ in range(300):
        lines = []
        for _ in range(dice.randrange(1, 12)):
            line = text[: dice.randrange(1, len(text))].encode(encoding)
            for _ in range(dice.randrange(3)):
                at = dice.randrange(len(line))
                noise = dice.choice([b"\0", b"\0\0", b"\x01", b"\x1b[31m", bytes(dice.randrange(20))])
                line = line[:at] + noise + line[at:]
            lines.append(line + b"\n")
        yield b"".join(lines)[:HEAD_BYTES]


@pytest.mark.parametrize(("text", "encoding"), LOGS)
def test_a_log_with_nuls_in_some_lines_is_text(text: str, encoding: str) -> None:
    for head in disturbed(text, encoding):
        refuse_other_than_text(head, "in.log")


@pytest.mark.parametrize("divider", ["\0", "\x01", "\t", "\0\n", "\n"])
@pytest.mark.parametrize("letters", ["0123456789", "abcdefXYZ 0123456789", "abc\0"])
def test_fields_of_one_letter_between_control_characters_are_text(divider: str, letters: str) -> None:
    dice = random.Random(divider + letters)
    for _ in range(300):
        rows = (divider.join(dice.choices(letters, k=dice.randrange(1, 9))) for _ in range(40))
        refuse_other_than_text("\n".join(rows).encode()[:HEAD_BYTES], "in.log")


def test_numbers_and_noise_are_no_wide_text() -> None:
    dice = random.Random(7)
    for _ in range(300):
        assert wide_encoding(dice.randbytes(HEAD_BYTES)) is None
        assert wide_encoding(b"".join(dice.randrange(2000).to_bytes(2, "little") for _ in range(256))) is None
    assert wide_encoding(bytes(HEAD_BYTES)) is None


@pytest.mark.parametrize("level", [0, 1, 5, 6, 9])
@pytest.mark.parametrize("content", [b"a\n", b"".join(b"line %d\n" % i for i in range(9999))])
def test_zlibs_stream_is_refused_with_what_reads_it(level: int, content: bytes) -> None:
    head = zlib.compress(content, level)[:HEAD_BYTES]
    with pytest.raises(WrongContent, match=r"in\.txt is zlib data, .* func\.file_reader\(\)"):
        refuse_other_than_text(head, "in.txt")


@pytest.mark.parametrize(
    "text",
    [b"x^2 + y^2 = 1\n", b"x^y\n" * 300, b"x\x01y\x01z\n" * 99, "xÚ\nxœ\n".encode("cp1252") * 99, b"x^"],
)
def test_text_that_begins_like_zlib_is_text(text: bytes) -> None:
    refuse_other_than_text(text[:HEAD_BYTES], "in.txt")
