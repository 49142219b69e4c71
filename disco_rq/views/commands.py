"""What one may type at a shell to look further, as pages and verbs print it."""

from __future__ import annotations

__all__ = ["replay_command"]

_RAISED = ("data", "error", "fatal")


def replay_command(job: str, task: str, attempt: int, outcome: str) -> str:
    """Runs a failed attempt once more, and stops where it raises; empty for one that did not fail itself."""
    return f"disco-rq replay {job} {task} --attempt {attempt} --pdb" if outcome in _RAISED else ""
