"""The command line: ``main`` is the program ``disco-rq``.

``app`` gathers the verbs; the other modules hold them by what they are about.
"""

import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from disco_rq.machine.hashseed import start_again_with_hash_seed
from disco_rq.machine.interrupts import keep_interrupts
from disco_rq.machine.streams import open_closed_streams

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line. Leaves with 0, with 1 for an error of any kind, or 2 for a wrong call."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while it imports ends it without a traceback
    keep_interrupts()
    open_closed_streams()
    if args is None and sys.argv[1:2] == ["node"]:
        start_again_with_hash_seed()  # here: what is imported before that is imported twice
    from disco_rq.cli.app import run  # not at the top: a fifth of a second

    signal.signal(signal.SIGINT, usual)
    run(args)
