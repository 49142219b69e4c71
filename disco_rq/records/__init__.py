"""The format of record files: typed pairs, or a user's bytes, partition after partition.

``writer`` writes one, ``reading`` reads it, ``typed`` packs columns of values. ``blocks`` and ``layout`` say
what lies where, ``bundle`` puts the small outputs of a batch into one file; ``netstr`` is Disco's own format.
"""

from disco_rq.records.blocks import read_blocks
from disco_rq.records.bundle import open_output, write_outputs
from disco_rq.records.difference import OnePair, first_difference
from disco_rq.records.digest import changed_partitions
from disco_rq.records.durable import sync_directory, sync_file
from disco_rq.records.layout import Index, PartitionPlace
from disco_rq.records.opaque import OpaqueStream
from disco_rq.records.reading import (
    FileSource,
    PairBatch,
    Source,
    all_blocks,
    batches,
    content_blocks,
    is_record_file,
    nr_partitions_of,
    read_index,
    read_pairs,
    read_with,
)
from disco_rq.records.writer import RecordWriter

__all__ = [
    "PairBatch",
    "FileSource",
    "Index",
    "OnePair",
    "OpaqueStream",
    "PartitionPlace",
    "RecordWriter",
    "Source",
    "all_blocks",
    "batches",
    "changed_partitions",
    "content_blocks",
    "first_difference",
    "is_record_file",
    "nr_partitions_of",
    "open_output",
    "read_blocks",
    "read_index",
    "read_pairs",
    "read_with",
    "sync_directory",
    "sync_file",
    "write_outputs",
]
