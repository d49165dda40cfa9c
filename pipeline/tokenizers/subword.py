"""Byte-level BPE, and the reference encoder: Hugging Face `tokenizers` as it is. About 3 MB a CPU-second (README)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from pipeline.core.errors import UserError
from pipeline.tokenizers.base import END_OF_TEXT, Encoded, Encoder, Kind


class BytePair(Kind):
    """BPE over bytes, split by the GPT-2 expression (Radford et al. 2019): any text can be spelled, none is unknown."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END_OF_TEXT],
            # all 256 bytes, whether the sample holds them or not; the trainer sorts them
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return str(tokenizer.to_str())


class Reference(Encoder):
    """A loaded tokenizer.json. Its ids are right by definition; every faster path is held against it."""

    def __init__(self, json_text: str) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_str(json_text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def vocabulary(self) -> int:
        """One more than the largest id: what an embedding needs."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def end_of_text(self) -> int:
        """The id that follows each document.

        Raises: UserError when the tokenizer has no such piece.
        """
        found = self._tokenizer.token_to_id(END_OF_TEXT)
        if found is None:
            raise UserError(f"tokenizer.json: has no {END_OF_TEXT} piece. Train it with the tokenizer stage.")
        return int(found)

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        found = self._tokenizer.encode_batch_fast(column.to_pylist(), add_special_tokens=False)
        ids = [np.asarray(one.ids, np.uint32) for one in found]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum([len(one) for one in ids], out=offsets[1:])
        return Encoded(np.concatenate(ids) if ids else np.empty(0, np.uint32), offsets)

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text, for prompts and tests."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; end-of-text and bytes that are no UTF-8 come out as they are (U+FFFD for the latter)."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


def load(path: Path) -> Reference:
    """The tokenizer in a file.

    Raises: UserError when the file is not a tokenizer.json.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return Reference(text)
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{path.name}: not a tokenizer.json that `tokenizers` can read ({error}).") from error
