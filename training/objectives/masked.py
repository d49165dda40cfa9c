"""Predict hidden tokens from both sides (Devlin et al. 2019): of those chosen 80 % [MASK], 10 % any piece, 10 % as is.

A row becomes [CLS] row [SEP], or as a pair [CLS] text [SEP] text [SEP]. What is chosen hangs on the row's key alone.
Cost, one thread: see `make bench`; a row that is read for its words costs about as much again as its masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import UserError
from training.keyed_rng import Keys, uniform
from training.models.base import Model
from training.models.layers import IGNORE
from training.objectives import pairs, special_tokens, whole_words
from training.objectives.base import Objective, Tensors
from training.objectives.pairs import Pair, Text
from training.objectives.reading import Reader, Row
from training.objectives.section import Masked as Options

HIDDEN, ANOTHER = 0.8, 0.9  # below the first: [MASK]; below the second: any piece; else as it is


class Masked(Objective):
    """See the module."""

    config: Options

    def __init__(self, config: Any, tokenizer: Path) -> None:
        super().__init__(config, tokenizer)
        self._marks = special_tokens.read(tokenizer)
        self._ordinary = self._marks.ordinary
        self._is_special = np.zeros(self._marks.vocabulary, np.bool_)
        self._is_special[self._marks.special] = True
        self._reader = Reader(tokenizer, self._marks.special)
        paired = self.config.pairs != "none"
        self.marks = 3 if paired else 2
        self.group = 2 if self.config.pairs == "next_sentence" else 1

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        rows = [row[:length] for row, length in zip(tokens, lengths.tolist(), strict=True)]
        found = self._pairs(rows, keys)
        B, T = len(rows), tokens.shape[1] + self.marks
        inputs, segments = np.zeros((B, T), np.int64), np.zeros((B, T), np.int64)
        goes_on = np.zeros((B, T), np.bool_)
        sizes = [self._lay(pair, *parts) for pair, *parts in zip(found, inputs, segments, goes_on, strict=True)]
        targets = self._hide(inputs, goes_on, sizes, keys)
        batch = {"tokens": inputs, "targets": targets}
        if min(sizes, default=T) < T:
            batch["lengths"] = np.array(sizes, np.int64)
        if self.config.pairs != "none":
            batch |= {"segments": segments, "pairs": np.array([pair.label for pair in found], np.int64)}
        counts = torch.from_numpy((targets != IGNORE).sum(1))
        return {name: torch.from_numpy(value) for name, value in batch.items()}, counts

    def _pairs(self, rows: Sequence[Row], keys: Keys) -> list[Pair]:
        if self.config.unit == "token" and self.config.pairs == "none":
            return [Pair((Text(row, np.zeros(len(row), np.bool_)),), IGNORE) for row in rows]
        readings = self._reader.read(rows)
        texts = [Text(row, reading.goes_on) for row, reading in zip(rows, readings, strict=True)]
        if self.config.pairs == "none":
            return [Pair((text,), IGNORE) for text in texts]
        end = self._marks.end_of_text
        read = zip(texts, readings, strict=True)
        documents = [pairs.document(text, reading.begins, end) for text, reading in read]
        return pairs.pairs(self.config.pairs, documents, texts, keys)

    def _lay(self, pair: Pair, inputs: Row, segments: Row, goes_on: NDArray[np.bool_]) -> int:
        """[CLS] text [SEP] (text [SEP]) into a row of each array; how many tokens that is."""
        if not any(len(text.tokens) for text in pair.texts):
            return 0
        inputs[0], at = self._marks.start, 1
        for segment, text in enumerate(pair.texts):
            stop = at + len(text.tokens)
            inputs[at:stop], inputs[stop], goes_on[at:stop] = text.tokens, self._marks.end, text.goes_on
            segments[at : stop + 1] = segment
            at = stop + 1
        return at

    def _hide(self, inputs: Row, goes_on: NDArray[np.bool_], sizes: list[int], keys: Keys) -> Row:
        """Change `inputs` (B, T) in their chosen places; the targets: what stood there, elsewhere IGNORE."""
        B, T = inputs.shape
        which, lengths = uniform(keys, T, "which"), uniform(keys, T, "length")
        how, other = uniform(keys, T, "how"), uniform(keys, T, "other")
        chosen = np.zeros((B, T), np.bool_)
        for row, size in enumerate(sizes):
            text = np.flatnonzero(~self._is_special[inputs[row, :size]])
            if not len(text):
                continue
            count = whole_words.budget(self.config.share, len(text))
            if self.config.unit == "span":
                for span in whole_words.spans(count, goes_on[row, text], lengths[row], which[row]):
                    chosen[row, text[span]] = True
                    how[row, text[span]] = how[row, text[span[0]]]  # a span is hidden as one (Joshi et al. 2020)
            elif self.config.unit == "word":
                chosen[row, text[whole_words.words(count, goes_on[row, text], which[row])]] = True
            else:
                chosen[row, text[whole_words.tokens(count, which[row, : len(text)])]] = True
        targets = np.where(chosen, inputs, IGNORE)
        inputs[chosen & (how < HIDDEN)] = self._marks.mask
        another = chosen & (how >= HIDDEN) & (how < ANOTHER)
        inputs[another] = self._ordinary[(other[another] * len(self._ordinary)).astype(np.int64)]
        return targets

    def examine(self, rows: Iterable[NDArray[Any]]) -> None:
        """Raises: UserError when pairs are asked for and no row holds one; ends at the first that does."""
        if self.config.pairs == "none":
            return
        for row in rows:
            (reading,) = self._reader.read([row])
            if pairs.document(Text(row, reading.goes_on), reading.begins, self._marks.end_of_text):
                return
        raise UserError(
            f"pretrain.objective: pairs: {self.config.pairs} needs rows that hold two sentences of one document, and "
            "there is none. Lengthen pack.length, take other texts, or write pairs: none."
        )

    def idle(self, model: Model) -> list[str]:
        """The head that tells pairs apart, where there are none.

        Raises: UserError when there are pairs and no such head.
        """
        head = [name for name, _ in model.named_parameters() if name.startswith(("pool.", "pair."))]
        if self.config.pairs == "none":
            return head
        if not head:
            raise UserError(
                f"pretrain.objective: pairs: {self.config.pairs} needs the head of the family bert, which "
                f"{model.family} has not. Write family: bert, or pairs: none."
            )
        return []

    def loss(self, model: Model, batch: Tensors) -> Tensor:
        smoothing = self.config.label_smoothing if model.training else 0.0
        loss: Tensor = model(**batch, label_smoothing=smoothing)
        return loss
