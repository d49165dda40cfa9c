"""The annotation model `ngram`: speed, and what bits a character say of good and bad text.

    python tests/benchmarks/bench_ngram.py [--rounds 3] [--table-bits 24]

Prints the figures of training/annotation/LEARNED.md. About half a CPU-minute.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from functools import partial

import numpy as np
import pyarrow as pa
from labelled_texts import CORPORA, best_speed, column, corpus, cpu_seconds, records
from measured import DATA, table

from pipeline.kernels.column import buffers
from pipeline.kernels.folded_text import folded_scratch
from pipeline.kernels.hashed_ngrams import STEPS, count_ngrams, to_logarithms
from pipeline.text.unicode import tables
from training.annotation.held_back import auc
from training.annotation.ngram import LanguageModel

TOY = "--rounds 1 --table-bits 16"  # the arguments with which the tests run this file
TRAINING_CHARACTERS = 3_000_000


def speed(rounds: int, bits: int) -> None:
    """Counting and scoring, and as bare limit a sum over the bytes of the text."""
    rows = []
    for language in CORPORA:
        text = corpus(language)
        model, counting = language_model(text, bits)
        data, _ = buffers(text)
        score = partial(model.bits, text, np.arange(len(text)), unit="character")
        rows.append([
            f"{language} ({text.nbytes / 1e6:.0f} MB)", best_speed(text, data.sum, rounds),
            f"{text.nbytes / 1e6 / counting:.0f}", best_speed(text, score, rounds),
        ])  # fmt: skip
    header = ["text", "read alone", "count", "score"]
    table(f"ngram, 2^{bits} cells: MB of text per CPU-second, one thread", header, rows)


def language_model(text: pa.Array, bits: int, order: int = 5) -> tuple[LanguageModel, float]:
    """A model of these texts, and the CPU-seconds of counting."""
    data, offsets = buffers(text)
    points, totals = folded_scratch(int(np.diff(offsets).max(initial=0))), np.zeros(2, np.int64)
    counts = np.zeros(1 << bits, np.uint32)
    count_ngrams(data, offsets, np.arange(1), tables(), order, points, counts.copy(), totals.copy())
    rows = np.arange(len(text))
    spent = cpu_seconds(lambda: count_ngrams(data, offsets, rows, tables(), order, points, counts, totals))
    total = 1 + round(float(np.log2(max(1, totals[0]))) * STEPS)
    return LanguageModel(to_logarithms(counts), total, order), spent


def perplexity(bits: int) -> None:
    """Bits a character of raw-mixed by a model of clean corpora: AUC of high, of far from the median, and bands."""
    truth = {row["id"]: row for row in records(DATA / "raw-mixed.truth" / "docs.jsonl.gz")}
    groups: dict[str, list[tuple[str, bool, str]]] = defaultdict(list)
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        for row in records(path):
            known = truth.get(row.get("id"))
            if known and known["kind"] in ("base", "bad") and isinstance(row.get("text"), str):
                bad = known["quality"] == "bad"
                groups[known["lang"]].append((row["text"][:5000], bad, known["reason"] if bad else "good"))
    rows, kinds = [], defaultdict(dict)
    for language in CORPORA:
        if not groups[language]:
            continue
        model, _ = language_model(corpus(language, TRAINING_CHARACTERS), bits)
        texts, bad, reasons = zip(*groups[language], strict=True)
        scores = model.bits(column(list(texts)), np.arange(len(texts)), unit="character")
        is_bad = np.array(bad)
        low, high = np.percentile(scores[~is_bad], (1, 99))
        # how far out among the good ones of its side: 0 in the middle, 0.5 beyond all of them
        place = np.searchsorted(np.sort(scores[~is_bad]), scores) / max(1, (~is_bad).sum())
        distance = np.abs(place - 0.5)
        outside = (scores < low) | (scores > high)
        rows.append([
            language, int((~is_bad).sum()), int(is_bad.sum()), f"{auc(is_bad, scores):.2f}",
            f"{auc(is_bad, distance):.2f}", f"{low:.1f} to {high:.1f}",
            f"{100 * np.mean((scores > high)[is_bad]):.0f}", f"{100 * np.mean(outside[is_bad]):.0f}",
        ])  # fmt: skip
        for reason in sorted(set(reasons)):
            kinds[reason][language] = f"{np.median(scores[np.array(reasons) == reason]):.1f}"
    header = [
        "language", "good", "bad", "AUC: high is bad", "AUC: outside a band is bad", "band, p1 to p99 of good",
        "bad above it %", "bad outside it %",
    ]  # fmt: skip
    table("ngram: bits a character as a sign of bad text", header, rows)
    table(
        "ngram: median bits a character by kind of text",
        ["kind", *CORPORA],
        [[kind, *(kinds[kind].get(tag, "–") for tag in CORPORA)] for kind in sorted(kinds)],
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--table-bits", type=int, default=24)
    chosen = options.parse_args()
    speed(chosen.rounds, chosen.table_bits)
    perplexity(chosen.table_bits)


if __name__ == "__main__":
    main()
