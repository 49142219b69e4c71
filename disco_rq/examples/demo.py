"""``make demo``: count the words of Python's own standard library, check the counts, tell what happened."""

from __future__ import annotations

import glob
import os
import platform
import re
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path

from disco_rq import Disco, Job, result_iterator
from disco_rq.errors import DiscoError
from disco_rq.examples import wordcount
from disco_rq.machine.interrupts import keep_interrupts

FILES_PER_TASK = 20
"""Source files are small: a map for each would cost more in tasks than in words."""
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "__pycache__"}


def main() -> None:
    """Run the demo. Leaves with status 1 and one line if anything is not as it must be."""
    keep_interrupts()
    try:
        with Disco() as disco:
            run(disco)
    except DiscoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def run(disco: Disco) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    globs = source_globs(library)
    print(f"Counting the words of Python {platform.python_version()}'s standard library, {library}")
    began = time.monotonic()
    job = disco.new_job(
        "wordcount",
        globs,
        map_init=wordcount.map_init,
        map=wordcount.map,
        combiner=wordcount.combiner,
        reduce=wordcount.reduce,
        sort=wordcount.sort,
        nr_reduces=4,
        files_per_task=FILES_PER_TASK,
    )
    counts = dict(result_iterator(job.wait(show=True)))
    seconds = time.monotonic() - began

    files = source_files(globs)
    began = time.monotonic()
    expected = counted_by_one_loop(files)
    loop_seconds = time.monotonic() - began
    check(counts, expected)
    check_inputs(job, files)

    report(job, counts)
    info = job.jobinfo()
    maps, reduces = info["mapi"][2], info["redi"][2]
    size = sum(Path(file).stat().st_size for file in files)
    words = expected.total()
    print(f"\n{len(files):,} files of {size / 1e6:.1f} MB, {maps} maps and {reduces} reduces:")
    print(f"{words:,} words in {seconds:.1f} s, {words / seconds:,.0f} records/s.")
    print(f"One plain loop with collections.Counter took {loop_seconds:.1f} s and found the same counts.")
    print("\nLook further:")
    program = os.path.relpath(Path(sys.executable).with_name("disco-rq"))
    print(f"  {program} run disco_rq.examples.wordcount '{library}/*.py' | sort -k2nr | head")
    print(f"  {program} --help")


def source_globs(library: Path) -> list[str]:
    """The library's source files as the inputs of a job, without what was installed into it later."""
    folders = sorted(
        path
        for path in library.iterdir()
        if path.is_dir() and not path.is_symlink() and path.name not in NOT_THE_LIBRARY
    )
    packages = [folder for folder in folders if next(folder.rglob("*.py"), None)]
    return [f"{library}/*.py", *(f"{package}/**/*.py" for package in packages)]


def source_files(globs: list[str]) -> list[str]:
    """What the inputs match, as a job reads it: each file once, however many links of a folder lead to it."""
    matched = [{os.path.realpath(file) for file in glob.iglob(it, recursive=True)} for it in globs]  # noqa: PTH207
    return sorted(file for files in matched for file in files if os.path.exists(file))  # noqa: PTH110


def counted_by_one_loop(files: list[str]) -> Counter[str]:
    """What the job must find."""
    counts: Counter[str] = Counter()
    for file in files:
        with open(file, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            for line in lines:
                counts.update(re.findall(r"\w+", line.lower()))
    return counts


def check(counts: dict[str, int], expected: Counter[str]) -> None:
    for word in counts.keys() | expected.keys():
        if counts.get(word) != expected.get(word):
            sys.exit(f"demo: {word!r} was counted {counts.get(word)} times, not {expected[word]} times")


def check_inputs(job: Job, files: list[str]) -> None:
    """Every file was read by one map, as the maps told by ``put``."""
    told = [file for key in job.oob_list() if key.startswith("inputs:") for file in job.oob_get(key)]
    if sorted(map(os.path.realpath, told)) != files:
        sys.exit(f"demo: the maps read {len(told)} files, not the library's {len(files)}")


def report(job: Job, counts: dict[str, int]) -> None:
    print("\nThe most frequent words:")
    for word, count in sorted(counts.items(), key=lambda item: -item[1])[:10]:
        print(f"  {count:>9,}  {word}")
    print("\nOut-of-band results, read back by their keys:")
    keys = job.oob_list()
    for key in keys:
        if not key.startswith("inputs:"):
            told = ", ".join(f"{name} {number:,}" for name, number in job.oob_get(key).items())
            print(f"  {key}  {told}")
    first = next(key for key in keys if key.startswith("inputs:"))
    print(f"  {first}  {job.oob_get(first)[0]} and {len(job.oob_get(first)) - 1} more files")
    print(f"  {sum(key.startswith('inputs:') for key in keys) - 1} more of these, one from each map")


if __name__ == "__main__":
    main()
