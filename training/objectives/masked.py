"""Predict hidden tokens from both sides (Devlin et al. 2019): 80 % become [MASK], 10 % a random token, 10 % stay.

A row becomes [CLS] row [SEP], or as a pair [CLS] text [SEP] text [SEP]. The selection depends on the row's key alone.
Cost, one thread: see `make bench`; finding the words of a row costs about as much again as selecting them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import UserError
from training.keyed_rng import Keys, uniform
from training.models.base import Model
from training.models.layers import IGNORE
from training.objectives import pairs, special_tokens, whole_words
from training.objectives.base import IntArray, Objective, Tensors
from training.objectives.boundaries import BoundaryReader, TokenRow
from training.objectives.pairs import TextPair, TokenText
from training.objectives.section import Masked as Options

MASK_BELOW, RANDOM_BELOW = 0.8, 0.9  # a draw below the first: [MASK]; below the second: a random token; else unchanged


class Masked(Objective):
    """See the module."""

    config: Options

    def __init__(self, config: Options, tokenizer: Path) -> None:
        super().__init__(config, tokenizer)
        self._special_tokens = special_tokens.read(tokenizer)
        self._ordinary = self._special_tokens.ordinary
        self._is_special = np.zeros(self._special_tokens.vocabulary, np.bool_)
        self._is_special[self._special_tokens.special] = True
        self._reader = BoundaryReader(tokenizer, self._special_tokens.special)
        paired = self.config.pairs != "none"
        self.extra_tokens = 3 if paired else 2
        self.group = 2 if self.config.pairs == "next_sentence" else 1

    def batch(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], keys: Keys) -> tuple[Tensors, Tensor]:
        rows = [row[:length] for row, length in zip(tokens, lengths.tolist(), strict=True)]
        row_pairs = self._pairs(rows, keys)
        B, T = len(rows), tokens.shape[1] + self.extra_tokens
        inputs = np.zeros((B, T), np.int64)
        segments = np.zeros((B, T), np.int64)
        continues_word = np.zeros((B, T), np.bool_)
        sizes = [
            self._write_row(pair, *arrays)
            for pair, *arrays in zip(row_pairs, inputs, segments, continues_word, strict=True)
        ]
        targets = self._hide(inputs, continues_word, sizes, keys)
        batch = {"tokens": inputs, "targets": targets}
        if min(sizes, default=T) < T:
            batch["lengths"] = np.array(sizes, np.int64)
        if self.config.pairs != "none":
            batch |= {"segments": segments, "pairs": np.array([pair.label for pair in row_pairs], np.int64)}
        counts = torch.from_numpy((targets != IGNORE).sum(1))
        return {name: torch.from_numpy(value) for name, value in batch.items()}, counts

    def _pairs(self, rows: Sequence[TokenRow], keys: Keys) -> list[TextPair]:
        if self.config.unit == "token" and self.config.pairs == "none":
            return [TextPair((TokenText(row, np.zeros(len(row), np.bool_)),), IGNORE) for row in rows]
        boundaries = self._reader.read(rows)
        texts = [TokenText(row, bounds.continues_word) for row, bounds in zip(rows, boundaries, strict=True)]
        if self.config.pairs == "none":
            return [TextPair((text,), IGNORE) for text in texts]
        end = self._special_tokens.end_of_text
        documents = [
            pairs.document(text, row.begins_sentence, end) for text, row in zip(texts, boundaries, strict=True)
        ]
        return pairs.pairs(self.config.pairs, documents, texts, keys)

    def _write_row(
        self, pair: TextPair, inputs: TokenRow, segments: TokenRow, continues_word: NDArray[np.bool_]
    ) -> int:
        """Write [CLS] text [SEP] (text [SEP]) into a row of each array; returns the number of tokens."""
        if not any(len(text.tokens) for text in pair.texts):
            return 0
        inputs[0] = self._special_tokens.start
        at = 1
        for segment, text in enumerate(pair.texts):
            stop = at + len(text.tokens)
            inputs[at:stop] = text.tokens
            inputs[stop] = self._special_tokens.end
            continues_word[at:stop] = text.continues_word
            segments[at : stop + 1] = segment
            at = stop + 1
        return at

    def _hide(self, inputs: TokenRow, continues_word: NDArray[np.bool_], sizes: list[int], keys: Keys) -> TokenRow:
        """Hide the selected tokens of `inputs` (B, T); returns the targets: their ids, elsewhere IGNORE."""
        B, T = inputs.shape
        position, lengths = uniform(keys, T, "which"), uniform(keys, T, "length")
        action, replacement = uniform(keys, T, "how"), uniform(keys, T, "other")
        selected = np.zeros((B, T), np.bool_)
        for row, size in enumerate(sizes):
            text = np.flatnonzero(~self._is_special[inputs[row, :size]])
            if not len(text):
                continue
            count = whole_words.budget(self.config.share, len(text))
            if self.config.unit == "span":
                for span in whole_words.spans(count, continues_word[row, text], lengths[row], position[row]):
                    selected[row, text[span]] = True
                    action[row, text[span]] = action[row, text[span[0]]]  # a span is hidden as one (Joshi et al. 2020)
            elif self.config.unit == "word":
                selected[row, text[whole_words.words(count, continues_word[row, text], position[row])]] = True
            else:
                selected[row, text[whole_words.tokens(count, position[row, : len(text)])]] = True
        targets = np.where(selected, inputs, IGNORE)
        inputs[selected & (action < MASK_BELOW)] = self._special_tokens.mask
        random = selected & (action >= MASK_BELOW) & (action < RANDOM_BELOW)
        inputs[random] = self._ordinary[(replacement[random] * len(self._ordinary)).astype(np.int64)]
        return targets

    def frame_documents(self, documents: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """[CLS] belongs to the first document of a row, [SEP] to the last; rows are never pairs here."""
        B, T = documents.shape
        framed = np.zeros((B, T + self.extra_tokens), np.int64)
        # the row begins one place later, its first document with [CLS]
        framed[:, 1 : T + 1] = np.where(documents == 0, 0, documents + 1)
        rows = np.arange(B)
        framed[rows, lengths + 1] = framed[rows, lengths]
        beyond = np.arange(T + self.extra_tokens) > lengths[:, None] + 1
        return np.where(beyond, lengths[:, None] + 2, framed)

    def examine(self, rows: Iterable[IntArray]) -> None:
        """Raises: UserError when the objective has pairs and no row holds one; stops at the first that does."""
        if self.config.pairs == "none":
            return
        for row in rows:
            (boundaries,) = self._reader.read([row])
            text = TokenText(row, boundaries.continues_word)
            if pairs.document(text, boundaries.begins_sentence, self._special_tokens.end_of_text):
                return
        raise UserError(
            f"pretrain.objective: pairs: {self.config.pairs} needs rows that hold two sentences of one document, and "
            "there is none. Lengthen pack.length, take other texts, or write pairs: none."
        )

    def idle(self, model: Model) -> list[str]:
        """The pair head, where the objective has no pairs.

        Raises: UserError when it has pairs and the model no such head.
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
