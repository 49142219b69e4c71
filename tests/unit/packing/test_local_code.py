"""Which code travels by value: packed by one program, run by another that has none of its modules."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import cloudpickle
import pytest

from disco_rq.examples import __name__ as examples_name
from disco_rq.packing.localcode import is_local_module
from disco_rq.packing.shipping import ship, unship

ROOT = Path(__file__).resolve().parents[3]
PACK = """
from pathlib import Path
from disco_rq.model import Functions
from disco_rq.packing import JobSeal, pack_functions
def pack(**functions):
    params = functions.pop("params", None)
    Path(PACK_FILE).write_bytes(pack_functions(Functions(**functions), params, JobSeal("j", None)).data)
"""
RUN = """
import sys
from pathlib import Path
from disco_rq.packing import JobSeal, unpack_functions
job = unpack_functions(Path(sys.argv[1]).read_bytes(), JobSeal("j", None))
print(list(job.functions.map("e", job.params())))
"""


class Client:
    """A directory of the user's, in which programs pack; and a worker elsewhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packed = path / "out.pack"
        self.file("packer.py", f"PACK_FILE = {str(self.packed)!r}\n" + PACK)

    def file(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(textwrap.dedent(text))

    def run(self, *args: str) -> str:
        """Run the packing program here, then the map of its pack where nothing of it can be imported."""
        python(*args, cwd=self.path)
        worker = self.path.parent / "worker"
        worker.mkdir(exist_ok=True)
        return python("-c", RUN, str(self.packed), cwd=worker).strip()


def python(*args: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def client(tmp_path: Path) -> Client:
    (tmp_path / "client").mkdir()
    return Client(tmp_path / "client")


def test_functions_of_a_script_bring_what_they_use(client: Client) -> None:
    client.file(
        "prog.py",
        """
        import re
        from functools import lru_cache
        from packer import pack
        class Entry:
            def __init__(self, e): self.e = e
            def text(self): return helper(self.e)
        def helper(e): return re.sub("e", "E", e)
        @lru_cache(maxsize=7)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        def map(e, params):
            yield Entry(e).text(), fib(30), fib.cache_parameters()["maxsize"]
        pack(map=map)
        """,
    )
    assert client.run("prog.py") == "[('E', 832040, 7)]"


def test_a_program_run_with_dash_m_brings_its_package(client: Client) -> None:
    client.file("pkg/__init__.py", "BASE = 10")
    client.file(
        "pkg/tools.py", "from . import BASE\nfrom .deep.more import inc\ndef f(n): return inc(BASE + n)"
    )
    client.file("pkg/deep/__init__.py", "")
    client.file("pkg/deep/more.py", "def inc(n): return n + 1")
    client.file(
        "pkg/prog.py",
        """
        from packer import pack
        from . import tools
        from .tools import f
        def map(e, params): return [f(1), tools.f(2)]
        pack(map=map)
        """,
    )
    assert client.run("-m", "pkg.prog") == "[12, 13]"


def test_modules_may_refer_to_each_other_and_hold_locks_that_are_not_used(client: Client) -> None:
    client.file(
        "a.py", "import b\nimport threading\nlock = threading.Lock()\nSIZE = 4\ndef f(n): return b.g(n)"
    )
    client.file(
        "b.py", "import a\nfile = open(__file__)\ndef g(n): return n * a.SIZE\ndef h(): return a.lock"
    )
    client.file(
        "prog.py", "import a\nfrom packer import pack\ndef map(e, params): return [a.f(5)]\npack(map=map)"
    )
    assert client.run("prog.py") == "[20]"


def test_imports_inside_functions_are_found(client: Client) -> None:
    client.file("lib/__init__.py", "")
    client.file("lib/words.py", "import late\ndef count(e): return late.ONE + 1")
    client.file("late.py", "ONE = 1\ndef two(): return 2")
    client.file(
        "prog.py",
        """
        from packer import pack
        def map(e, params):
            import json
            import lib.words
            from lib import words
            from late import two
            return [lib.words.count(e), words.count(e), two(), json.dumps(None)]
        pack(map=map)
        """,
    )
    assert client.run("prog.py") == "[2, 2, 2, 'null']"


def test_code_knows_its_file_and_line_so_that_tracebacks_and_profiles_do(client: Client) -> None:
    client.file(
        "program.py",
        """
        from packer import pack
        def map(e, params):
            def inner():
                return 0
            codes = [map.__code__, inner.__code__]
            return [(code.co_filename, code.co_firstlineno) for code in codes]
        pack(map=map)
        """,
    )

    program = str(client.path / "program.py")
    assert client.run(program) == str([(program, 3), (program, 4)])


def test_tracebacks_have_the_lines_of_files_that_the_worker_has_not(client: Client) -> None:
    client.file("helper.py", "def fail(e):\n    return 1 / len(e[1:])  # of the helper\n")
    client.file(
        "program.py",
        """
        import traceback
        from helper import fail
        from packer import pack
        def map(e, params):
            try:
                fail(e)  # of the program
            except ZeroDivisionError:
                return traceback.format_exc().splitlines()
        pack(map=map)
        """,
    )
    python("program.py", cwd=client.path)
    for file in client.path.glob("*.py"):
        file.unlink()

    worker = client.path.parent / "worker"
    worker.mkdir()
    told = python("-c", RUN, str(client.packed), cwd=worker)

    assert "fail(e)  # of the program" in told
    assert "return 1 / len(e[1:])  # of the helper" in told


def test_attributes_that_are_looked_up_by_name_are_there(client: Client) -> None:
    client.file("steps.py", "def step_a(e): return e + 'a'\nclass Late:\n    pass")
    client.file(
        "prog.py",
        "import steps\nfrom packer import pack\n"
        "def map(e, params): return [getattr(steps, 'step_' + params)(e)]\npack(map=map, params='a')",
    )
    assert client.run("prog.py") == "['ea']"


def test_a_program_that_is_a_module_goes_by_value(client: Client) -> None:
    client.file(
        "prog.py", "N = 5\nclass C:\n    n = N\ndef map(e, params): return [C.n, isinstance(params, C)]"
    )
    client.file("submit.py", "import prog\nfrom packer import pack\npack(map=prog.map, params=prog.C())")
    assert client.run("submit.py") == "[5, True]"


def test_installed_packages_the_standard_library_and_ours_are_not_local() -> None:
    import hypothesis

    for module in (hypothesis, textwrap, threading, sys, sys.modules[examples_name], sys.modules["disco_rq"]):
        assert not is_local_module(module), module
    assert is_local_module(sys.modules[__name__])
    assert not is_local_module(types.ModuleType("made_up"))


def test_functions_of_installed_packages_go_by_reference() -> None:
    assert unship(ship(textwrap.dedent)) is textwrap.dedent
    assert unship(ship(ship)) is ship


def test_cloudpickles_registry_is_as_before_also_after_a_failure() -> None:
    before = cloudpickle.list_registry_pickle_by_value()
    ship(test_cloudpickles_registry_is_as_before_also_after_a_failure)
    with pytest.raises(TypeError):
        ship(threading.Lock())
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_many_threads_may_ship_at_once() -> None:
    failures: list[BaseException] = []

    def many() -> None:
        try:
            for _ in range(20):
                assert unship(ship(python)) is not python
        except BaseException as error:  # noqa: BLE001  shown below
            failures.append(error)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_is_imported_between_two_jobs_comes_along_with_the_second(client: Client) -> None:
    client.file("helpers.py", "def f(n): return n + 1")
    client.file("other/helpers.py", "def f(n): return n + 2")
    client.file("later.py", "def g(n): return n * 10")
    client.file(
        "prog.py",
        """
        import sys
        from packer import pack
        import helpers
        pack(map=lambda e, params: [helpers.f(0)])
        del sys.modules["helpers"]
        sys.path.insert(0, "other")
        import helpers  # another one, in the place of the first
        import later
        pack(map=lambda e, params: [helpers.f(0), later.g(1)])
        """,
    )
    assert client.run("prog.py") == "[2, 10]"


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports are new in Python 3.15")
def test_what_is_imported_lazily_is_found_and_travels(client: Client) -> None:
    client.file("tools.py", "lazy import deeper\ndef double(n): return deeper.times(n, 2)")
    client.file("deeper.py", "def times(n, m): return n * m")
    client.file(
        "prog.py",
        """
        lazy import json
        lazy import tools
        lazy from math import sqrt
        from packer import pack
        def map(e, params):
            yield json.dumps([e]), tools.double(int(sqrt(4)))
        pack(map=map)
        """,
    )
    assert client.run("prog.py") == "[('[\"e\"]', 4)]"


@pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports are new in Python 3.15")
def test_a_lazy_import_that_fails_is_told_with_its_name(client: Client) -> None:
    client.file(
        "prog.py",
        """
        lazy import nowhere_at_all
        from packer import pack
        from disco_rq.errors import Unshippable
        def map(e, params):
            yield e, nowhere_at_all.f()
        try:
            pack(map=map)
        except Unshippable as error:
            pack(map=lambda e, params, text=str(error): [text])
        """,
    )
    assert "No module named 'nowhere_at_all'" in client.run("prog.py")
