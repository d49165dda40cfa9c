"""Hugging Face `datasets`: data/train-00000-of-00002.parquet …, as `load_dataset(folder)` looks for splits.

A row is `input_ids`, as the Trainer of transformers names them, and `documents`, the spans of its documents with their
ids. A shard of the run is a file, a row group a row group, so memory and order are those of the shards.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.records import SPAN
from pipeline.core.shards import batches, parquet_options
from pipeline.token_formats.base import PackedSplit, TokenFormat, WrittenSplit, hashed_file

UINT16_TOKENS = 1 << 16


class ParquetRows(TokenFormat):
    """Rows as Parquet files."""

    USAGE: ClassVar[str] = 'datasets.load_dataset("{folder}")'

    def dtype(self) -> np.dtype[np.integer]:
        return np.dtype(np.uint16 if self.vocabulary <= UINT16_TOKENS else np.int32)

    def write(self, split: PackedSplit, folder: Path) -> WrittenSplit:
        written = WrittenSplit()
        schema = pa.schema([("input_ids", pa.list_(pa.from_numpy_dtype(self.dtype()))), ("documents", pa.list_(SPAN))])
        for index, shard in enumerate(split.shards):
            name = f"data/{split.name}-{index:05d}-of-{len(split.shards):05d}.parquet"
            with (
                hashed_file(folder, name, written.files) as target,
                pq.ParquetWriter(target, schema, **parquet_options(schema)) as writer,
            ):
                for table in batches(shard, ["tokens", "documents"]):
                    rows = table.rename_columns(schema.names).cast(schema)
                    writer.write_table(rows, row_group_size=rows.num_rows)
                    written.rows += rows.num_rows
                    written.tokens += len(rows["input_ids"].combine_chunks().flatten())
        return written
