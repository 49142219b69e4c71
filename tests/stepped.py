"""A Redis server whose clock a test may step, as an operator, NTP or a failover to another machine does."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from disco_rq.machine.redisserver import ServerBinary, find_server

_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t *offset_s;

__attribute__((constructor)) static void open_offset(void) {
  int file = open(getenv("TEST_CLOCK_OFFSET"), O_RDONLY);
  offset_s = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
}

int gettimeofday(struct timeval *now, void *zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
  int answer = real(now, zone);
  now->tv_sec += *offset_s;
  return answer;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int answer = real(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += *offset_s;
  return answer;
}

time_t time(time_t *told) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (told) *told = now.tv_sec;
  return now.tv_sec;
}
"""


class SteppedClock:
    """``binary`` is a server that has this clock."""

    def __init__(self, directory: Path) -> None:
        """``directory``: for its files. Skips the test where nothing compiles C."""
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None or os.uname().sysname != "Linux":
            pytest.skip("a server's clock is stepped by a library that gcc compiles")
        self._offset = directory / "clock-offset"
        self.step(0)
        source, shim = directory / "clock.c", directory / "clock.so"
        source.write_text(_SHIM)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
        program = directory / "server"
        settings = f'LD_PRELOAD="{shim}" TEST_CLOCK_OFFSET="{self._offset}"'
        program.write_text(f'#!/bin/sh\n{settings} exec "{find_server().path}" "$@"\n')
        program.chmod(0o755)
        self.binary = ServerBinary(program, find_server().origin)

    def step(self, seconds: int) -> None:
        """From now on it is so far ahead of this machine's clock."""
        with open(self._offset, "r+b" if self._offset.exists() else "wb") as file:
            file.write(struct.pack("<q", seconds))
