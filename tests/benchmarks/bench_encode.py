"""Encoding on one core: the guarded fast path against `tokenizers.encode_batch_fast`, cold and warm, identical ids.

    python tests/benchmarks/bench_encode.py [--kind bpe|wordpiece|word] [--vocabulary 32000]

Of the kind `word`, which the library does not part, the other side is the definition in plain Python, with jieba.

Each figure is of a process of its own: cold is its first pass over the texts, with the comparison of the documents that
`verification_sample` selects (a fixed amount of a corpus, however large), warm its second, without. Loading, with the
adversarial texts, is measured apart. Ids are compared outside of the timing, all of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers
from enlarge import read
from measured import DATA, measure, table

from pipeline.core.files import JsonObject
from pipeline.text import words
from pipeline.tokenizers import TOKENIZERS, verification_sample
from pipeline.tokenizers.reference_encoder import ReferenceEncoder
from pipeline.tokenizers.verified_encoder import VerifiedEncoder

TOY = "--vocabulary 600"  # the arguments with which the tests run this file

CORPORA = {"English": "corpora/en/*.gz", "Chinese": "corpora/zh/*.gz"}
BATCH_BYTES = 1 << 20


def columns(language: str) -> list[pa.LargeStringArray]:
    """The texts of a language, about BATCH_BYTES a column."""
    texts = [record["text"] for record in read(CORPORA[language], DATA)]
    ends = list(itertools.accumulate(len(text.encode()) for text in texts))
    groups = itertools.groupby(range(len(texts)), key=lambda at: ends[at] // BATCH_BYTES)
    return [pa.array([texts[at] for at in group], pa.large_string()) for _, group in groups]


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def ours(json_text: str, texts: list[pa.LargeStringArray]) -> tuple[float, list[float]]:
    """Seconds to load, and of each pass; every id is compared afterwards."""
    start = time.process_time()
    chosen = VerifiedEncoder(json_text)
    chosen.encode(texts[0].slice(0, 0))  # compiled loops and the dictionary are read now
    load = time.process_time() - start
    names = [pa.array([f"{at:06d}-{row:06d}" for row in range(len(column))]) for at, column in enumerate(texts)]
    numbers = [number for ids in names for number in verification_sample.smallest(ids, np.empty(0, np.int64)).tolist()]
    size = sum(column.nbytes for column in texts) / sum(map(len, texts))
    limit = verification_sample.threshold(numbers, size)

    def encode_and_verify() -> None:
        for column, ids in zip(texts, names, strict=True):
            chosen.encode(column, verification_sample.selected(ids, limit))

    passes = [seconds(encode_and_verify), seconds(lambda: [chosen.encode(column) for column in texts])]
    assert chosen.fallback is None, chosen.fallback
    right = plain(json_text)
    for column in texts:
        found = chosen.encode(column)
        assert found.ids.tolist() == [token for ids in right(column.to_pylist()) for token in ids]
    return load, passes


def theirs(json_text: str, texts: list[pa.LargeStringArray]) -> tuple[float, list[float]]:
    """As bare as it can be called: lists of strings in, lists of ids out."""
    start = time.process_time()
    encode = plain(json_text)
    load = time.process_time() - start
    lists = [column.to_pylist() for column in texts]
    return load, [seconds(lambda: [encode(batch) for batch in lists]) for _ in range(2)]


def plain(json_text: str) -> Callable[[list[str]], list[list[int]]]:
    """The library, or for words their definition."""
    if ReferenceEncoder(json_text).sentence is None:
        library = tokenizers.Tokenizer.from_str(json_text)
        return lambda batch: [found.ids for found in library.encode_batch_fast(batch, add_special_tokens=False)]
    ids, unknown, end = json.loads(json_text)["model"]["vocab"], 1, 2

    def sentence_ids(sentence: str) -> list[int]:
        parts = [ids.get(word, unknown) for word in words.words(sentence)]
        return [*parts, end] if parts else []

    return lambda batch: [[i for one in words.sentences(text) for i in sentence_ids(one)] for text in batch]


def one(path: Path, language: str, which: str) -> JsonObject:
    """What one process measures."""
    texts = columns(language)
    load, passes = {"ours": ours, "theirs": theirs}[which](path.read_text(encoding="utf-8"), texts)
    size = sum(column.nbytes for column in texts) / 1e6
    return {"load": load, "cold": size / passes[0], "warm": size / passes[1]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kind", default="bpe")
    options.add_argument("--vocabulary", type=int, default=32_000)
    options.add_argument("--one", nargs=3, metavar=("TOKENIZER", "LANGUAGE", "WHICH"))
    chosen = options.parse_args()
    if chosen.one:
        print(json.dumps(one(Path(chosen.one[0]), *chosen.one[1:])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, rows = Path(folder) / "tokenizer.json", []
        texts = [text for language in CORPORA for column in columns(language) for text in column.to_pylist()]
        start = time.process_time()
        path.write_text(TOKENIZERS.load(chosen.kind)().train(texts, chosen.vocabulary), encoding="utf-8")
        size = sum(len(text.encode()) for text in texts) / 1e6
        print(f"{chosen.kind}: trained on {size:.1f} MB, {size / (time.process_time() - start):.1f} MB per CPU-second")
        for language in CORPORA:
            found = {}
            for which in ("theirs", "ours"):
                command = [sys.executable, __file__, "--one", path, language, which]
                done = measure(command, RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
                found[which] = json.loads(done.printed.splitlines()[-1])
            for when in ("cold", "warm"):
                fast, slow = found["ours"][when], found["theirs"][when]
                rows.append([f"{language}, {when}", slow, fast, fast / slow, found["ours"]["load"]])
    header = ["texts, pass", "plain" if chosen.kind == "word" else "tokenizers", "ours", "ratio", "ours: load, s"]
    table(
        f"Encoding, MB of text per CPU-second, one core, {chosen.kind}, {chosen.vocabulary:,} pieces, identical ids",
        header,
        rows,
    )


if __name__ == "__main__":
    main()
