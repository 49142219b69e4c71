"""``python -m disco_rq.cli`` is the program ``disco-rq``, for where its script is not on PATH."""

from disco_rq.cli import main

main()
