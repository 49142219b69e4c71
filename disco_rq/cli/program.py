"""A user's program: a module whose top-level names are the arguments of ``new_job``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from disco_rq import Params
from disco_rq.client.submission import ARGUMENTS
from disco_rq.errors import DiscoError, JobArgumentError

JOB_ARGUMENTS = frozenset(ARGUMENTS) - {"name"}
"""Those of a program. Its ``name``, a str, is the beginning of the job's."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a program file says about its job."""

    name: str
    arguments: dict[str, Any]


def load_program(program: str) -> Program:
    """Import a program by its path (``wordcount.py``) or dotted name (``disco_rq.examples.wordcount``).

    Its folder, or the current one for a dotted name, is where its own imports are looked for first. Raises
    ``JobArgumentError`` for any error in it, in one line that names the file and the line.
    """
    is_file = program.endswith(".py") or "/" in program
    if Path(program).is_dir():
        raise JobArgumentError(f"program {program}: it is a directory")
    if is_file and not Path(program).is_file():
        raise JobArgumentError(f"program {program}: no such file")
    try:
        module = _import_file(Path(program).absolute()) if is_file else _import_module(program)
        # By getattr(): vars() holds a lazy import (Python 3.15) itself, not what it stands for.
        found = {name: getattr(module, name) for name in list(vars(module)) if name in JOB_ARGUMENTS}
    except DiscoError:
        raise
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise JobArgumentError(f"program {program}: {_error_and_place(error)}") from error
    arguments = {name: value for name, value in found.items() if not inspect.ismodule(value)}
    if not arguments.keys() & {"map", "reduce"}:
        raise JobArgumentError(f"program {program}: it defines neither map nor reduce")
    for name in vars(module):
        meant = get_close_matches(name, JOB_ARGUMENTS - {name}, 1, 0.85)
        if meant and name not in JOB_ARGUMENTS and meant[0] not in arguments:
            click.echo(f"disco-rq: {program}: {name} is no argument of a job; {meant[0]}?", err=True)
    stem = Path(program).stem if is_file else program.rpartition(".")[2]
    own = getattr(module, "name", None)  # a function of that name is no word about the job
    name = own if isinstance(own, str) else _job_name(stem)
    return Program(name, arguments)


def _job_name(stem: str) -> str:
    """How a job's name begins for a file's: ``my-job`` stays, ``2024 run`` becomes ``2024_run``."""
    return re.sub(r"^-|[^a-zA-Z0-9_\-]", "_", stem)[:100]


def _import_file(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    # A program called csv.py must not become everybody's csv.
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names or not path.stem.isidentifier()
    name = "disco_program_" + re.sub(r"\W", "_", path.stem) if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise JobArgumentError(f"program {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _error_and_place(error: BaseException) -> str:
    """``NameError: name 'x' is not defined (wordcount.py, line 3)``."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in (__file__, importlib.__file__)
        and not frame.filename.startswith("<frozen importlib")
    ]
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{text} ({error.filename}, line {error.lineno})"
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def with_params(params: Any, options: Sequence[str]) -> Any:
    """The program's ``params`` with each ``NAME=VALUE`` set; a value is JSON, or else text."""
    if not options:
        return params
    values = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or not name.isidentifier():
            raise JobArgumentError(f"-p {option}: it takes NAME=VALUE")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    if params is None:
        return Params(**values)
    if isinstance(params, Params):
        return Params(**{**vars(params), **values})
    if isinstance(params, dict):
        return {**params, **values}
    raise JobArgumentError(
        f"-p {options[0]}: the program's params are a {type(params).__name__}, not Params or a dict"
    )
