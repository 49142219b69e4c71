"""What a job brings along besides its functions: files, and modules as files, laid out where its tasks run.

All of it is one directory of the job on each node, until the job is purged: required files are flat in it,
modules and packages as Python imports them. Files there cannot be written to, as all tasks share them. The
directory is first on ``sys.path``; each task finds its entries as links in its working directory,
so ``open("stop.txt")`` and ``ctypes.CDLL("./lib.so")`` work, and programs that a task starts find shared
libraries there by ``LD_LIBRARY_PATH``.
"""

from __future__ import annotations

import builtins
import importlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgpack

__all__ = ["Required", "RequiredFile"]

_LIBRARIES = "LD_LIBRARY_PATH"


class RequiredFile(NamedTuple):
    """A file that travels: what is in it, and whether it may be run."""

    content: bytes
    is_program: bool = False


@dataclass(frozen=True, slots=True)
class Required:
    """Files, by their path within the directory, and the modules whose names job functions find."""

    files: Mapping[str, RequiredFile] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    as_files: frozenset[str] = frozenset()  # modules that travel as files: nothing of them goes by value

    def __bool__(self) -> bool:
        return bool(self.files or self.modules)

    @property
    def size_bytes(self) -> int:
        return sum(len(file.content) for file in self.files.values())

    def installed_modules(self) -> frozenset[str]:
        """The top-level modules that are no files of its own, but imported where its tasks run."""
        roots = {name.partition(".")[0] for name in self.modules}
        own = {name.partition(".")[0] for name in self.as_files}
        return frozenset(roots - own - sys.stdlib_module_names - {"disco_rq"})

    def pack(self) -> bytes:
        """For ``unpack``; empty if there is nothing."""
        if not self:
            return b""
        return bytes(msgpack.packb([{path: list(file) for path, file in self.files.items()}, self.modules]))

    @classmethod
    def unpack(cls, data: bytes) -> Required:
        if not data:
            return cls()
        files, modules = msgpack.unpackb(data)
        return cls({path: RequiredFile(*file) for path, file in files.items()}, tuple(modules))

    def install(self, directory: Path, aside: Path | None = None) -> None:
        """Let imports of this process, and programs that it starts, look into the directory first.

        It is made if it is not there: written ``aside`` (default: beside it), on the same file system, and
        renamed when complete, since other processes may do the same.
        """
        aside = aside or directory.with_name(f"{directory.name}.{os.getpid()}")
        if self.files:
            if not directory.exists():
                self._write(aside)
                directory.parent.mkdir(mode=0o700, exist_ok=True)
                try:
                    aside.rename(directory)
                except OSError:
                    if not directory.exists():
                        raise
                    shutil.rmtree(aside)  # another process was first
            importlib.invalidate_caches()
            sys.path.insert(0, str(directory))
            os.environ[_LIBRARIES] = os.pathsep.join(
                filter(None, [str(directory), os.environ.get(_LIBRARIES)])
            )

    def _write(self, directory: Path) -> None:
        for name, file in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(0o500 if file.is_program else 0o400)

    def import_modules(self) -> None:
        """Import the modules, and let every function of this process find each by the last part of its name.

        As in Disco, job functions need not import them. Raises what an import raises.
        """
        for name in self.modules:
            module = importlib.import_module(name)
            short = name.rpartition(".")[2]
            if not hasattr(builtins, short):  # where functions look last; a module called map is no map
                setattr(builtins, short, module)

    def link(self, directory: Path, into: Path) -> None:
        """Make what was installed in ``directory`` visible in a task's own."""
        for name in sorted({path.partition("/")[0] for path in self.files}):
            (into / name).symlink_to(directory / name)
