"""Names that users import, and dotted names that lie in RQ's records, stay where they are."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

import pytest

from disco_rq.store.queues import RUN_BATCH


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "disco_rq",
            "BadEntry Disco Job Params result_iterator external DiscoError JobError __version__",
        ),
        ("disco_rq.func", "kvgroup sum_combiner sum_reduce chain_reader map_line_reader object_reader"),
        ("disco_rq.runtime", "put get msg err data_err counter this_host this_inputs this_master this_name"),
        ("disco_rq.local", "run"),
        ("disco_rq.testing", "TaskRun run_task"),
        ("disco_rq.errors", "DiscoError JobFailure OOBKeyExists OOBNotFound NotInTask"),
        ("disco_rq.settings", "Settings PREFIX"),
        ("disco_rq.examples", ""),
        ("disco_rq.examples.wordcount", "map reduce"),
        ("disco_rq.worker", "DiscoWorker run_batch"),
        ("disco_rq.packing", "Serializer"),
        ("disco_rq.cli", "main"),
    ],
)
def test_they_are_where_programs_look_for_them(module: str, names: str) -> None:
    missing = [name for name in names.split() if not hasattr(import_module(module), name)]
    assert missing == []


def test_the_function_of_our_rq_jobs_has_the_name_that_lies_in_redis() -> None:
    assert RUN_BATCH == "disco_rq.worker.run_batch"


def test_the_program_is_the_command_line() -> None:
    [program] = [it for it in entry_points(group="console_scripts") if it.name == "disco-rq"]
    assert program.value == "disco_rq.cli:main"
