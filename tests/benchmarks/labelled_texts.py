"""Texts with labels for the benchmarks of annotation models, clean corpora, and CPU time."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from measured import DATA

MIXED = "raw-mixed good / bad"
# accuracy measured before there was code: code-point 1- to 4-grams in 2^18 cells, AdaGrad, 8 epochs
EARLIER = {
    "topic-en": 0.657, "topic-zh": 0.717, "sms-spam": 0.980, "sentiment-en": 0.733, "subjectivity-en": 0.882,
    "law-branch-zh": 0.864, MIXED: 0.986,
}  # fmt: skip
CORPORA = {
    "en": ("en/gutenberg", "en/peps"),
    "zh": ("zh/laws", "zh/zhwiki", "zh/oi-wiki", "zh/classics", "zh/poetry"),
}


class LabelledTexts(NamedTuple):
    """A set: texts and labels that train, and those that measure; `languages` of the latter."""

    name: str
    train: list[tuple[str, str]]
    test: list[tuple[str, str]]
    languages: list[str]


def records(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # raw-mixed holds broken lines on purpose
                if isinstance(record, dict):
                    yield record


def evaluation_sets() -> Iterator[LabelledTexts]:
    """The sets with their own split, or a third held back by the hash of the id."""
    for name in EARLIER:
        sides: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
        for row in records(DATA / "eval" / f"{name}.jsonl.gz"):
            third = int(hashlib.md5(str(row["id"]).encode()).hexdigest(), 16) % 3 == 0
            sides[row.get("split", "dev" if third else "train") == "train"].append((row["text"], row["label"]))
        if sides[True]:
            yield LabelledTexts(name, sides[True], sides[False], [name[-2:]] * len(sides[False]))


def mixed(most: int | None = 2000) -> LabelledTexts | None:
    """Documents of raw-mixed as published, and bad ones, cut to `most` characters; a third by its id is held back."""
    truth = {
        row["id"]: row for row in records(DATA / "raw-mixed.truth" / "docs.jsonl.gz") if row["kind"] in ("base", "bad")
    }
    sides: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    languages = []
    for path in sorted((DATA / "raw-mixed").glob("*.gz")):
        for row in records(path):
            known = truth.get(row.get("id"))
            if known is None or not isinstance(row.get("text"), str):
                continue
            held_back = int(re.sub("[^0-9a-f]", "0", row["id"]), 16) % 3 == 0
            sides[not held_back].append((row["text"][:most], known["quality"]))
            if held_back:
                languages.append(known["lang"])
    return LabelledTexts(MIXED, sides[True], sides[False], languages) if sides[True] and sides[False] else None


def column(texts: list[str]) -> pa.Array:
    return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.large_string())


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return max(time.process_time() - started, 1e-9)


def corpus(language: str, most: int | None = None) -> pa.Array:
    """Texts of clean corpora, of `most` characters together."""
    texts, left = [], most or 1 << 60
    for name in CORPORA[language]:
        for row in records(DATA / "corpora" / f"{name}.jsonl.gz"):
            texts.append(row["text"][:left])
            left -= len(texts[-1])
    return column([text for text in texts if text])


def best_speed(text: pa.Array, work: Callable[[], object], rounds: int) -> str:
    """MB per CPU-second of the best of some rounds; the first, which may compile, does not count."""
    if not len(text):
        return "–"
    work()
    return f"{text.nbytes / 1e6 / min(cpu_seconds(work) for _ in range(rounds)):.0f}"
