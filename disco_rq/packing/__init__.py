"""What travels through Redis: control messages (msgpack), and function packs (cloudpickle, signed).

``packs`` makes and opens a pack, ``signing`` signs it and all else that a worker acts upon, ``serializer`` is
how RQ stores what it stores for us; ``gathering``, ``localcode`` and ``shipping`` find what functions use and
send it, ``culprits`` says what cannot be sent.
"""

from disco_rq.packing.gathering import gather
from disco_rq.packing.packs import (
    HEAD_BYTES,
    MAX_PACK_BYTES,
    Pack,
    UnpackedJob,
    check_spec,
    checked_body,
    open_pack,
    pack_functions,
    sign_for,
    unpack_functions,
)
from disco_rq.packing.required import Required
from disco_rq.packing.serializer import Serializer
from disco_rq.packing.signing import JobSeal, Signer, TaskSeal, fingerprints, misfit, secret_keys

__all__ = [
    "HEAD_BYTES",
    "MAX_PACK_BYTES",
    "JobSeal",
    "Pack",
    "Required",
    "Serializer",
    "Signer",
    "TaskSeal",
    "UnpackedJob",
    "check_spec",
    "checked_body",
    "fingerprints",
    "misfit",
    "gather",
    "open_pack",
    "pack_functions",
    "secret_keys",
    "sign_for",
    "unpack_functions",
]
