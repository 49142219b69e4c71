"""README and manual, as the tests read them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from disco_rq.settings import PREFIX

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MANUAL = ROOT / "disco_rq" / "manual"
PAGES = sorted(MANUAL.glob("*.md"))


def page(name: str) -> str:
    return (MANUAL / f"{name}.md").read_text()


def section(name: str, title: str) -> str:
    """What stands below a heading of a page, up to the next one of its level."""
    return page(name).split(f"\n## {title}\n")[1].split("\n## ")[0]


def examples(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def example(text: str) -> str:
    """The first one."""
    return examples(text)[0]


def output_of(program: str) -> list[str]:
    """The lines that an example prints when it runs as it is printed, in the directory of the README."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
