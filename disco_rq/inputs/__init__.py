"""From addresses to streams of bytes.

``plan`` expands what a job was given and cuts it into pieces, when it is submitted; ``opening`` opens a piece
where its task runs, whatever its scheme and its compression.
"""

from disco_rq.inputs.opening import HTTP_TIMEOUT_S, open_input
from disco_rq.inputs.plan import plan_inputs

__all__ = ["HTTP_TIMEOUT_S", "open_input", "plan_inputs"]
