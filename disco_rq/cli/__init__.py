"""The command line: ``main`` is the program ``disco-rq``.

``app`` gathers the verbs; the other modules hold them by what they are about.
"""

from disco_rq.cli.app import main

__all__ = ["main"]
