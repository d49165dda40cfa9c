"""ngram: how many bits a language model of n-grams of characters needs for a text, a mean over its code points.

Prepared once: a table of counts for each language, in fixed memory. A document is scored by the model of its language,
or not at all. Low is not good: repeated lines are the least surprising of all (README.md). Cost: README.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors.numpy import load_file, save_file

from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, read_json, replacing, write_json
from pipeline.kernels.column import buffers
from pipeline.kernels.folded_text import NgramCells, folded_scratch
from pipeline.kernels.hashed_ngrams import (
    STEPS,
    BatchRows,
    Logarithms,
    count_ngrams,
    measure_bits,
    to_logarithms,
)
from pipeline.kernels.text_hash import hash_folded
from pipeline.text.unicode import tables, version
from training.annotation.base import Floats, Scorer
from training.annotation.examples import tags_of
from training.annotation.held_back import PERCENTILES, percentiles
from training.annotation.ngram_section import NgramOptions
from training.annotation.text_sets import TextReader

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = "bloomery-ngram-model-1"
MOST_LANGUAGES = 16  # tables in memory at once
LEAST_CODE_POINTS = 10_000  # of a language: fewer say nothing about it


class TextAmount(NamedTuple):
    """How much text a language has."""

    texts: int
    characters: int


@dataclass
class LanguageCounts:
    """What was counted of a language."""

    counts: NgramCells
    totals: BatchRows = field(default_factory=lambda: np.zeros(2, np.int64))  # code points, used cells
    texts: int = 0
    not_counted: int = 0
    held_back: list[Floats] = field(default_factory=list)


@dataclass(frozen=True)
class LanguageModel:
    """The model of a language. `total`: the logarithm of all code points that were counted, in steps."""

    table: Logarithms
    total: int
    ngrams: int

    def bits(self, text: pa.Array | pa.ChunkedArray, rows: BatchRows, *, unit: str) -> Floats:
        """Bits per folded code point, or per byte of the text, of some rows; NaN for a blank text."""
        data, offsets = buffers(text)
        out = np.empty((len(rows), 2), np.int64)
        points = folded_scratch(int(np.diff(offsets).max(initial=0)))
        measure_bits(data, offsets, rows, tables(), self.ngrams, points, self.table, self.total, out)
        units = np.diff(offsets)[rows] if unit == "byte" else out[:, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(out[:, 1] > 0, out[:, 0] / (STEPS * units), np.nan)


class NgramPerplexity(Scorer):
    """The annotation model `ngram`."""

    options: NgramOptions
    models: dict[str, LanguageModel]

    def prepare(self, texts: Mapping[str, TextReader], folder: Path) -> JsonObject:
        reader = texts["text"]
        amounts = self._amounts(reader)
        languages = self._count(reader, amounts)
        usable = {tag: each for tag, each in sorted(languages.items()) if each.totals[0] >= LEAST_CODE_POINTS}
        if not usable:
            raise UserError(_nothing_to_learn(amounts))
        folder.mkdir(parents=True, exist_ok=True)
        totals = {tag: 1 + round(float(np.log2(int(each.totals[0]))) * STEPS) for tag, each in usable.items()}
        with replacing(folder / WEIGHTS) as beside:
            save_file({tag: to_logarithms(each.counts) for tag, each in usable.items()}, beside)
        write_json(
            folder / CONFIG,
            {"format": FORMAT, "ngrams": self.options.ngrams, "totals": totals, "unicode": version()},
        )
        self.load(folder, None)
        for tag, batch, rows in self._rows(reader, held_back=True):
            if tag in usable:
                usable[tag].held_back.append(self.models[tag].bits(batch["text"], rows, unit=self.options.unit))
        figures: JsonObject = {"languages": {tag: _figures(each) for tag, each in usable.items()}}
        ignored = {tag or "unknown": amount.texts for tag, amount in sorted(amounts.items()) if tag not in usable}
        return {**figures, **({"texts_without_model": ignored} if ignored else {})}

    def load(self, folder: Path, model: Path | None) -> None:
        config = read_json(folder / CONFIG)
        arrays = load_file(folder / WEIGHTS)
        self.models = {
            tag: LanguageModel(arrays[tag], int(total), int(config["ngrams"]))
            for tag, total in sorted(config["totals"].items())
        }

    def score(self, documents: pa.Table) -> Floats:
        scores = np.full(documents.num_rows, np.nan)
        tags = tags_of(documents)
        for tag, model in self.models.items():
            rows = np.flatnonzero(tags == tag)
            if len(rows):
                scores[rows] = model.bits(documents["text"], rows, unit=self.options.unit)
        return scores

    def _amounts(self, reader: TextReader) -> dict[str, TextAmount]:
        """Texts and characters of each language; that of texts without one is empty."""
        amounts: dict[str, TextAmount] = {}
        for batch in reader.batches():
            tags, sizes = tags_of(batch), pc.utf8_length(batch["text"]).to_numpy()
            for tag in sorted(set(tags.tolist())):
                before = amounts.get(tag, TextAmount(0, 0))
                rows = tags == tag
                amounts[tag] = TextAmount(before.texts + int(rows.sum()), before.characters + int(sizes[rows].sum()))
        return amounts

    def _count(self, reader: TextReader, amounts: Mapping[str, TextAmount]) -> dict[str, LanguageCounts]:
        """The counts of each language that may have a model: a known one with enough text."""
        languages = {
            tag: LanguageCounts(np.empty(0, np.uint32))
            for tag, amount in sorted(amounts.items())
            if tag
            and not tag.startswith("und")
            and (self.options.languages is None or tag in self.options.languages)
            and amount.characters >= LEAST_CODE_POINTS
        }
        if len(languages) > MOST_LANGUAGES:
            raise UserError(_too_many([*languages]))
        for each in languages.values():
            each.counts = np.zeros(1 << self.options.table_bits, np.uint32)
        for tag, batch, rows in self._rows(reader, held_back=False):
            if tag not in languages:
                continue
            each = languages[tag]
            data, offsets = buffers(batch["text"])
            points = folded_scratch(int(np.diff(offsets).max(initial=0)))
            counted = count_ngrams(data, offsets, rows, tables(), self.options.ngrams, points, each.counts, each.totals)
            each.texts += counted
            each.not_counted += len(rows) - counted
        return languages

    def _rows(self, reader: TextReader, *, held_back: bool) -> Iterator[tuple[str, pa.Table, BatchRows]]:
        """(language, batch, rows of it) of the texts on one side, by a hash of each text."""
        for batch in reader.batches():
            data, offsets = buffers(batch["text"])
            hashes = np.empty((batch.num_rows, 3), np.uint64)
            hash_folded(data, offsets, tables(), hashes)
            on_side = (hashes[:, 1] < np.uint64(int(self.options.held_back * 2**64))) == held_back
            tags = tags_of(batch)
            for tag in sorted(set(tags.tolist())):
                rows = np.flatnonzero((tags == tag) & on_side)
                if len(rows):
                    yield tag, batch, rows


def _figures(each: LanguageCounts) -> JsonObject:
    """Of a language: what was counted, how full its table is, and the scores of the texts that were held back."""
    scores = np.concatenate([*each.held_back, np.empty(0)])
    scores = scores[~np.isnan(scores)]
    return {
        "texts": each.texts, "not_counted": each.not_counted, "code_points": int(each.totals[0]),
        "table_full": round(int(each.totals[1]) / len(each.counts), 3),
        "held_back": len(scores),
        **(percentiles(scores) if len(scores) else dict.fromkeys([f"p{percent}" for percent in PERCENTILES])),
    }  # fmt: skip


def _nothing_to_learn(amounts: Mapping[str, TextAmount]) -> str:
    seen = [f"{tag or 'unknown'} ({amount.characters:,} characters)" for tag, amount in sorted(amounts.items())]
    return (
        f"annotate: ngram.text has less than {LEAST_CODE_POINTS:,} characters in every language that may have a model: "
        f"{', '.join(seen)}. Name more text, or write the `language` of a source."
    )


def _too_many(tags: list[str]) -> str:
    return (
        f"annotate: ngram.text has much text in more than {MOST_LANGUAGES} languages ({', '.join(sorted(tags))}). "
        "Write those that you want a model for: languages: [en, zh]."
    )
