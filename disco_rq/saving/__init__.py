"""Results that outlive the nodes: ``<save>/<job>/part-00003.<extension>``, written through fsspec.

The commit decides, and nothing else. An attempt uploads its complete file under a name of its own, hidden by
a dot: ``.part-00003.2-5e0c91aa.jsonl``, and commits that address. Only what was committed is then
*published*: renamed to its final name (in an object store: copied by the server, then deleted). So

- an attempt that fails, is killed, or comes back late never touches a final name;
- whoever was killed between commit and publication left the complete file and its address. Publishing it is
  the same for everybody, and no harm when done twice: the worker does it right after its commit, and
  ``settle`` does it for all parts that miss it when ``wait`` or ``results`` answers with the final names, and
  before ``clean`` or ``purge`` forgets the job;
- the final name does not tell the attempt, so ``part-*`` is each part once, for readers that know no Redis.

With ``save_by`` a task has several files, ``<save>/<job>/<name>/part-00003.<extension>``. They are uploaded
into a directory of the attempt, with a list of the names, and that is committed: ``named`` says how.

A name that everybody may write before the commit could not promise that: no object store lets us take the
right to write it away from an attempt that was given up.
"""

from disco_rq.saving.coding import encoded
from disco_rq.saving.formats import FORMATS
from disco_rq.saving.genuine import check_outputs, genuine_parts
from disco_rq.saving.parts import (
    bring_out,
    copy_part,
    discard,
    files_of,
    final_address,
    is_part_of,
    publish,
    settle,
    shown_address,
    upload,
)
from disco_rq.saving.places import sync_place
from disco_rq.saving.reading import is_saved, read_saved
from disco_rq.saving.shapes import Misfit, Shape
from disco_rq.saving.target import check_target

__all__ = [
    "FORMATS",
    "Misfit",
    "Shape",
    "bring_out",
    "check_outputs",
    "check_target",
    "copy_part",
    "discard",
    "encoded",
    "files_of",
    "final_address",
    "genuine_parts",
    "is_part_of",
    "is_saved",
    "publish",
    "read_saved",
    "settle",
    "shown_address",
    "sync_place",
    "upload",
]
