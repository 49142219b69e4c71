"""The map and reduce stages, on real files, without any server."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func
from disco_rq.errors import CorruptData, DataError, PartitionError, RecordTypeError, TaskError
from disco_rq.model import Functions, Input, JobSpec, MapInput, StageResult, TaskId
from disco_rq.records import FileSource, batches, read_index, read_pairs, read_with
from disco_rq.stages import TaskWork, run_map, run_reduce
from disco_rq.stages.inputsource import InputSource

SPEC_FIELDS = set(JobSpec.__dataclass_fields__)


@dataclass
class Job:
    """Runs the stages of one job in a directory, as workers would."""

    root: Path
    settings: dict[str, Any]
    events: list[str] = field(default_factory=list)

    def work(self, task: str) -> TaskWork:
        scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.root))
        spec = {key: value for key, value in self.settings.items() if key in SPEC_FIELDS}
        spec = {"nr_maps": 1, "nr_reduces": 1} | spec
        functions = {
            key: value for key, value in self.settings.items() if key not in SPEC_FIELDS and key != "params"
        }
        return TaskWork(
            JobSpec("job@20260101-000000-aaaa", has_map=True, has_reduce="reduce" in functions, **spec),
            Functions(**functions),
            self.settings.get("params"),
            TaskId.parse(task),
            scratch,
            self.events.append,
            lambda: self.settings.get("params"),
        )

    def map(self, *inputs: str, index: int = 0) -> tuple[Path, StageResult]:
        out = self.root / f"map-{index}"
        parts = MapInput(tuple((Input(url),) for url in inputs))
        return out, run_map(self.work(f"map:{index}"), parts, out)

    def reduce(self, maps: list[Path], index: int = 0) -> tuple[Path, StageResult]:
        out = self.root / f"reduce-{index}"
        sources = [FileSource(path, f"disco://node/{path.name}") for path in maps]
        return out, run_reduce(self.work(f"reduce:{index}"), sources, out)

    def run(self, *inputs: str) -> list[list[tuple[Any, Any]]]:
        """The pairs of each reduce; one map for each input."""
        maps = [self.map(url, index=index)[0] for index, url in enumerate(inputs)]
        nr_reduces = self.settings.get("nr_reduces", 1)
        return [list(read_pairs(self.reduce(maps, index)[0])) for index in range(nr_reduces)]


Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return lambda **settings: Job(tmp_path, settings)


def words(e: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in e.split():
        yield word, 1


def counted(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in func.kvgroup(iter):
        yield word, sum(ones)


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    rnd = random.Random(1)
    names = []
    for number in range(3):
        path = tmp_path / f"text-{number}"
        path.write_text("".join(f"w{rnd.randrange(300)} w{rnd.randrange(9999)}\n" for _ in range(2000)))
        names.append(str(path))
    return names


def content_pairs(out: Path, partition: int) -> list[Any]:
    blocks = FileSource(out, "out").blocks(partition)
    return [pair for batch in batches(blocks, "out") for pair in batch.pairs()]


def truth(texts: list[str]) -> Counter[str]:
    return Counter(word for name in texts for word in Path(name).read_text().split())


WAYS: dict[str, dict[str, Any]] = {
    "sorted": {"sort": True, "reduce": counted},
    "sorted, spilling": {"sort": True, "reduce": counted, "mem_sort_limit": 20_000},
    "sorted sums": {"sort": True, "reduce": func.sum_reduce, "combiner": func.sum_combiner},
    "sums, spilling": {"reduce": func.sum_reduce, "combiner": func.sum_combiner, "mem_sort_limit": 20_000},
    "unsorted": {"reduce": func.sum_reduce},
    "unsorted, spilling": {"reduce": func.sum_reduce, "mem_sort_limit": 1000},
    "objects": {
        "reduce": counted,
        "sort": True,
        "map_writer": func.object_writer,
        "reduce_reader": func.object_reader,
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_words_are_counted_right_every_way(way: str, start: Start, texts: list[str]) -> None:
    partitions = start(map=words, nr_reduces=3, **WAYS[way]).run(*texts)
    pairs = [pair for partition in partitions for pair in partition]
    assert len(pairs) == len(dict(pairs))
    assert dict(pairs) == truth(texts)
    if WAYS[way].get("sort"):
        assert all(partition == sorted(partition) for partition in partitions)


def test_results_say_what_went_in_and_out(start: Start, texts: list[str]) -> None:
    job = start(map=words, reduce=counted, sort=True)
    out, result = job.map(*texts)
    assert (result.entries_in, result.records_out, result.bytes_out) == (6000, 12_000, out.stat().st_size)
    out, result = job.reduce([out])
    assert (result.entries_in, result.records_out) == (12_000, len(truth(texts)))
    assert result.bytes_out == out.stat().st_size


def test_a_map_reads_all_its_parts_compressed_ones_too(start: Start, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wt") as file:
        file.write("one\ntwo\n")
    job = start(map=lambda e, params: [(e, len(e))], nr_reduces=0)
    out, result = job.map(str(tmp_path / "a.gz"), "raw://three")
    assert list(read_pairs(out)) == [("one", 3), ("two", 3), ("three", 5)]
    assert result.entries_in == 3


def test_without_reduces_pairs_keep_their_order_and_types(start: Start) -> None:
    pairs = [(1, "a"), (True, "b"), ([1], "c"), (1.0, "d"), ("x", None), (1, "a")]
    out, _ = start(map=lambda e, params: pairs, nr_reduces=0).map("raw://x")
    assert [(type(key), key, value) for key, value in read_pairs(out)] == [(type(k), k, v) for k, v in pairs]
    assert len(read_index(out)) == 1


def test_with_sort_and_no_reduce_the_results_are_sorted(start: Start) -> None:
    out, _ = start(map=lambda e, params: [(e, 1)], nr_reduces=0, sort=True).map("raw://b\na\nc\nb")
    assert list(read_pairs(out)) == [("a", 1), ("b", 1), ("b", 1), ("c", 1)]


def test_the_groups_of_a_map_that_no_reduce_sorts_are_in_order_in_each_partition(
    start: Start, texts: list[str]
) -> None:
    out, _ = start(map=words, nr_reduces=2, sort=True).map(texts[0])
    found = [[key for key, _ in content_pairs(out, partition)] for partition in range(2)]

    assert all(found)
    assert found == [sorted(keys) for keys in found]


def test_nothing_in_is_nothing_out(start: Start) -> None:
    for sort in (True, False):
        for combiner in (None, func.sum_combiner):
            job = start(map=words, reduce=counted, sort=sort, combiner=combiner, nr_reduces=2)
            assert job.run("raw://") == [[], []]


def test_a_map_may_return_none_a_list_an_iterator_or_tuples_and_lists(start: Start) -> None:
    def map(e: str, params: Any) -> Any:
        return {"none": None, "list": [("l", 1)], "iter": iter([["i", 2]]), "empty": ()}[e]

    out, result = start(map=map, nr_reduces=0).map("raw://none\nlist\niter\nempty")
    assert list(read_pairs(out)) == [("l", 1), ("i", 2)]
    assert result.entries_in == 4


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("combiner", [None, func.sum_combiner])
@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ("ab", "'a'"),
        (["ab"], "'ab'"),
        ([("a", 1, 2)], "('a', 1, 2)"),
        ([5], "5"),
        ({"key": 1}, "'key'"),
        (7, "int"),
    ],
)
def test_what_is_no_pair_is_named_with_its_entry(
    wrong: Any, shown: str, combiner: Any, sort: bool, start: Start
) -> None:
    job = start(map=lambda e, params: wrong if e == "2" else [(e, 1)], sort=sort, combiner=combiner)
    with pytest.raises(TaskError) as told:
        job.map("raw://1\n2\n3\n4")
    text = str(told.value) + "".join(getattr(told.value, "__notes__", []))
    assert shown in text
    assert "in entry 2 of raw://1" in text


def test_what_is_no_pair_is_told_late_in_the_input_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x\n" * 20_000 + "bad\n" + "x\n" * 20_000)
    for settings in ({"sort": True}, {}, {"combiner": func.sum_combiner}):
        job = start(map=lambda e, params: [(e, 1)] if e == "x" else [(1, 2, 3)], **settings)
        with pytest.raises(TaskError, match="pair"):
            job.map(str(tmp_path / "in"))


def test_an_error_of_the_map_passes_with_its_place(start: Start) -> None:
    def map(e: str, params: Any) -> Iterator[Any]:
        yield e, 1
        yield e, 1 // int(e)

    for settings in ({"sort": True}, {}, {"combiner": func.sum_combiner}):
        with pytest.raises(ZeroDivisionError) as raised:
            start(map=map, **settings).map("raw://1\n2\n0\n4", "raw://never")
        assert raised.value.__notes__ == ["in entry 3 of raw://1\n2\n0\n4"]


def test_the_place_counts_anew_in_each_part(start: Start) -> None:
    job = start(map=lambda e, params: [(int(e), 1)], status_interval=2)
    with pytest.raises(ValueError, match="bad") as raised:
        job.map("raw://1\n2\n3", "raw://4\nbad")
    assert raised.value.__notes__ == ["in entry 2 of raw://4\nbad"]


def test_an_error_of_the_reader_says_which_entry_it_was_reading(start: Start) -> None:
    def reader(fd: Any, size: Any, fname: str) -> Iterator[str]:
        yield "a"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError) as raised:
        start(map=words, map_reader=reader).map("raw://x")
    assert raised.value.__notes__ == ["reading entry 2 of raw://x"]


def test_an_input_that_cannot_be_read_is_a_data_error(start: Start, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        start(map=words).map(str(tmp_path / "missing"))
    assert raised.value.url == str(tmp_path / "missing")


def test_a_type_that_records_do_not_hold_is_refused(start: Start) -> None:
    for sort in (True, False):
        with pytest.raises(RecordTypeError, match="complex"):
            start(map=lambda e, params: [(e, 1j)], sort=sort).map("raw://x")


def test_a_wrong_partition_is_told_with_key_and_value(start: Start) -> None:
    for sort in (True, False):
        job = start(map=words, partition=lambda key, nr, params: nr, nr_reduces=2, sort=sort)
        with pytest.raises(PartitionError, match="answered 2 for the key 'word'"):
            job.map("raw://word")


def test_the_partition_function_is_asked_with_number_and_params(start: Start) -> None:
    asked = []

    def partition(key: str, nr_reduces: int, params: Any) -> int:
        asked.append((key, nr_reduces, params))
        return int(key) % nr_reduces

    job = start(map=words, partition=partition, nr_reduces=3, reduce=counted, sort=True, params="p")
    assert job.run("raw://1 2 3 4 2 2") == [[("3", 1)], [("1", 1), ("4", 1)], [("2", 3)]]
    assert sorted(asked) == [(key, 3, "p") for key in "1234" for _ in ("by the map", "by the reduce")]


def test_an_init_that_takes_entries_is_called_for_each_file(start: Start) -> None:
    def init(entries: Iterator[str], params: dict[str, Any]) -> None:
        params["header"] = next(entries)

    job = start(map=lambda e, params: [(params["header"], e)], map_init=init, nr_reduces=0, params={})
    out, _ = job.map("raw://name\na\nb", "raw://other\nc")
    assert list(read_pairs(out)) == [("name", "a"), ("name", "b"), ("other", "c")]


def test_reduce_init_is_called_with_the_pairs(start: Start) -> None:
    def init(iter: Iterator[Any], params: list[Any]) -> None:
        params.append(next(iter))

    job = start(map=words, reduce=func.nop_reduce, reduce_init=init, sort=True, params=[])
    assert job.run("raw://b a c") == [[("b", 1), ("c", 1)]]
    assert job.settings["params"] == [("a", 1)]


def test_pairs_of_many_maps_that_are_passed_on_share_blocks(start: Start) -> None:
    for sort in (True, False):
        job = start(map=words, reduce=func.nop_reduce, sort=sort, status_interval=50)
        maps = [job.map(f"raw://{'a ' * 3} k{index % 7}", index=index)[0] for index in range(40)]
        out, result = job.reduce(maps)
        found = list(read_pairs(out))
        assert Counter(found) == {("a", 1): 120} | {(f"k{i}", 1): 6 - (i > 4) for i in range(7)}
        assert found == sorted(found) if sort else found[:4] == [("a", 1)] * 3 + [("k0", 1)]
        assert (result.entries_in, result.records_out) == (160, 160)
        assert sum(1 for _ in FileSource(out, "out").blocks(0)) <= 3
        assert job.events[-1] == "150 entries reduced"


def test_events_come_each_so_many_entries(start: Start, texts: list[str]) -> None:
    job = start(map=words, reduce=counted, status_interval=2500)
    out, _ = job.map(*texts)
    assert job.events == ["2500 entries mapped", "5000 entries mapped"]
    job.reduce([out])
    assert job.events[-1] == "10000 entries reduced"
    quiet = start(map=words, status_interval=0)
    quiet.map(*texts)
    assert quiet.events == []


def test_an_interval_that_ends_with_the_input_loses_no_entry(start: Start) -> None:
    for interval in range(1, 7):
        job = start(map=lambda e, params: [(e, 1)], nr_reduces=0, status_interval=interval)
        out, result = job.map("raw://1\n2\n3", "raw://4\n5\n6")
        assert [key for key, _ in read_pairs(out)] == list("123456")
        assert job.events == [f"{n} entries mapped" for n in range(interval, 7, interval)]
        assert result.entries_in == 6


def test_a_combiner_has_a_dict_for_each_partition_and_a_last_call(start: Start) -> None:
    calls: list[Any] = []

    def combiner(key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any) -> Any:
        calls.append((key, value, id(buffer), done))
        if done:
            return [(k, v) for k, v in buffer.items() if v]
        buffer[key] = buffer.get(key, 0) + value
        if buffer[key] == 2:
            buffer[key] = 0
            return [(key, 2)]
        return None

    job = start(
        map=words,
        combiner=combiner,
        partition=lambda key, nr, params: int(key) % nr,
        nr_reduces=2,
        reduce=func.nop_reduce,
    )
    assert job.run("raw://1 2 1 1 3 2 4") == [[("2", 2), ("4", 1)], [("1", 2), ("1", 1), ("3", 1)]]
    assert [call[0] for call in calls] == [*"1211324", None, None]
    assert len({call[2] for call in calls if call[0] in ("1", "3")}) == 1
    assert [call[1] for call in calls[-2:]] == [None, None]


def test_a_combiner_and_a_sort_go_together(start: Start, texts: list[str]) -> None:
    def combiner(key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any) -> Any:
        if done:
            return buffer.items()
        buffer[key] = buffer.get(key, 0) + value
        return None

    ((*pairs,),) = start(map=words, combiner=combiner, reduce=counted, sort=True).run(*texts)
    assert pairs == sorted(truth(texts).items())


def test_a_reduce_with_out_gives_the_same_as_one_that_yields(start: Start) -> None:
    def with_out(iter: Iterator[Any], out: Any, params: Any) -> None:
        for key, values in func.kvgroup(iter):
            out.add(key, sum(values))

    for reduce in (with_out, counted, lambda pairs, params: [(k, sum(v)) for k, v in func.kvgroup(pairs)]):
        assert start(map=words, reduce=reduce, sort=True).run("raw://b a b") == [[("a", 1), ("b", 2)]]


def test_a_reduce_that_yields_no_pairs_is_told_what_it_yielded(start: Start) -> None:
    with pytest.raises(TaskError, match="not a pair: 'ab'"):
        start(map=words, reduce=lambda pairs, params: ["ab"]).run("raw://x")
    with pytest.raises(TaskError, match="not return 7"):
        start(map=words, reduce=lambda pairs, params: 7).run("raw://x")


def test_an_error_of_a_reduce_says_the_key(start: Start) -> None:
    def reduce(iter: Iterator[Any], params: Any) -> Iterator[Any]:
        for key, values in func.kvgroup(iter):
            yield key, sum(values) / (key != "b")

    with pytest.raises(ZeroDivisionError) as raised:
        start(map=words, reduce=reduce, sort=True).run("raw://a b c")
    assert raised.value.__notes__ == ["in key 'b'"]


def test_a_reduce_writer_writes_the_bytes_that_a_reader_reads(start: Start) -> None:
    job = start(map=words, reduce=counted, reduce_writer=func.netstr_writer, sort=True)
    out, result = job.reduce([job.map("raw://b a b")[0]])
    assert list(read_with(func.netstr_reader, out)) == [("a", "1"), ("b", "2")]
    assert result.records_out == 2


def test_a_writer_that_writes_text_is_told_to_encode(start: Start) -> None:
    job = start(map=words, map_writer=lambda fd, key, value, params: fd.write(key))
    with pytest.raises(TypeError, match="encode"):
        job.map("raw://x")


def test_a_map_writer_without_a_reader_is_told(start: Start) -> None:
    with pytest.raises(TaskError, match="takes a reader"):
        start(map=words, map_writer=func.netstr_writer, reduce=counted).run("raw://x")


def test_an_altered_or_missing_source_is_corrupt_data_of_that_source(start: Start, texts: list[str]) -> None:
    for settings in ({"sort": True}, {}):
        job = start(map=words, reduce=counted, **settings)
        good, _ = job.map(texts[0], index=0)
        bad, _ = job.map(texts[1], index=1)
        data = bytearray(bad.read_bytes())
        data[len(data) // 2] ^= 1
        bad.write_bytes(data)
        with pytest.raises(CorruptData) as noticed:
            job.reduce([good, bad])
        assert noticed.value.url == "disco://node/map-1"
        bad.unlink()
        with pytest.raises(CorruptData) as noticed:
            job.reduce([good, bad])
        assert noticed.value.url == "disco://node/map-1"


def test_unsorted_sources_come_one_after_the_other(start: Start) -> None:
    job = start(map=lambda e, params: [(e, e)], reduce=func.nop_reduce)
    assert [key for key, _ in job.run("raw://c\na", "raw://b\na")[0]] == ["c", "a", "b", "a"]


def test_any_file_can_be_reduced_with_a_reader_of_its_own(start: Start, texts: list[str]) -> None:
    def reader(fd: Any, size: Any, fname: str) -> Iterator[tuple[str, int]]:
        for line in func.map_line_reader(fd, size, fname):
            yield from words(line, None)

    job = start(reduce=counted, reduce_reader=reader, sort=True)
    out = job.root / "out"
    run_reduce(job.work("reduce:0"), [InputSource(Input(text)) for text in texts], out)
    assert list(read_pairs(out)) == sorted(truth(texts).items())


def test_one_hot_key_is_reduced_without_its_values_in_memory_at_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hot\n" * 100_000)
    job = start(map=lambda e, params: [(e, 1.5)], reduce=counted, sort=True, mem_sort_limit=100_000)
    assert job.run(str(tmp_path / "in")) == [[("hot", 150_000.0)]]
