"""nanoGPT: train.bin and val.bin, the tokens end to end as little-endian uint16, and meta.pkl with the vocabulary.

`get_batch` of nanoGPT's train.py maps each file as uint16 and cuts windows anywhere. Without meta.pkl it takes the
50,304 tokens of GPT-2 for the vocabulary. Documents are told apart by the end-of-text token alone.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.core.shards import FileEntry, batches
from pipeline.token_formats.base import PackedSplit, TokenFormat, WrittenSplit, flat_tokens, hashed_file

FILES = {"train": "train.bin", "validation": "val.bin"}
MOST_TOKENS = 1 << 16
PICKLE_PROTOCOL = 4  # fixed, so that every Python writes the same bytes


class NanoGPTFiles(TokenFormat):
    """Flat files of tokens, as `data/*/prepare.py` of nanoGPT writes them."""

    USAGE: ClassVar[str] = "python train.py --dataset={name}, where nanoGPT/data/{name} is this folder"

    def refusal(self) -> str | None:
        if self.vocabulary <= MOST_TOKENS:
            return None
        return (
            f"nanoGPT stores tokens as uint16, and the tokenizer has {self.vocabulary:,} of them. "
            "Choose megatron or datasets, or a tokenizer of at most 65,536 tokens."
        )

    def dtype(self) -> np.dtype[np.integer]:
        return np.dtype(np.uint16)

    def write(self, split: PackedSplit, folder: Path) -> WrittenSplit:
        written = WrittenSplit()
        with hashed_file(folder, FILES[split.name], written.files) as target:
            for shard in split.shards:
                for table in batches(shard, ["tokens"]):
                    tokens = flat_tokens(table, self.dtype())
                    target.write(tokens)
                    written.rows += table.num_rows
                    written.tokens += len(tokens) // self.dtype().itemsize
        return written

    def write_vocabulary(self, folder: Path) -> list[FileEntry]:
        files: list[FileEntry] = []
        with hashed_file(folder, "meta.pkl", files) as target:
            target.write(pickle.dumps({"vocab_size": self.vocabulary}, protocol=PICKLE_PROTOCOL))
        return files
