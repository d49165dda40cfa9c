"""count: the table equals a brute-force count, however the work is divided, and the stage says what it cannot do."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of
from pipeline.counts import merging, runs, vocabulary
from pipeline.counts.section import Count
from pipeline.stages import count

MakeJob = Callable[..., Job]
Table = dict[tuple[int, int], float]

SPECIALS = ["<|endoftext|>", "<unk>", "</s>"]
ENGLISH = "the old river carries a letter past an old station and nobody in the village has opened it yet".split()
CHINESE = ["安静", "的", "河流", "带", "着", "一", "封", "信", "经过", "古老", "的", "车站", "村子", "里", "没有", "人"]
WORDS = [*dict.fromkeys(ENGLISH + CHINESE)]
LENGTH = 16


def corpus(seed: int, documents: int = 40) -> list[list[list[str]]]:
    """Documents of sentences of words in two languages; some words are unknown, some documents have one word."""
    draw, tokens = random.Random(seed), []
    for at in range(documents):
        words = [*(CHINESE if at % 2 else ENGLISH), "unheard-of", "the", "的"]
        tokens.append([draw.choices(words, k=draw.randint(1, 25)) for _ in range(draw.randint(1, 4))])
    return tokens


def ids_of(documents: list[list[list[str]]]) -> list[int]:
    vocabulary = {word: at for at, word in enumerate([*SPECIALS, *WORDS])}
    tokens = []
    for sentences in documents:
        for sentence in sentences:
            tokens += [*(vocabulary.get(word, 1) for word in sentence), 2]
        tokens.append(0)
    return tokens


def brute_force(tokens: list[int], section: Count) -> Table:
    """Every pair of every sentence, in fractions."""
    occurs, sentence = Counter(tokens), list[int]()
    sums: dict[tuple[int, int], Fraction] = {}
    for token in tokens:
        if token in (0, 2):
            sentence = []
        elif token != 1 and occurs[token] >= section.min_count:
            for distance, context in enumerate(sentence[::-1][: section.window], 1):
                weight = Fraction(1, distance if section.weighting == "harmonic" else 1)
                for pair in [(token, context), (context, token)][: 1 + section.symmetric]:
                    sums[pair] = sums.get(pair, Fraction(0)) + weight
            sentence.append(token)
    return {pair: float(value) for pair, value in sums.items()}


@pytest.fixture
def make_inputs(tmp_path: Path) -> Callable[..., dict[str, Artifact]]:
    """Packed rows of LENGTH tokens in `files` files, and the tokenizer of words."""

    def make(tokens: list[int], *, files: int = 1, name: str = "inputs") -> dict[str, Artifact]:
        schema, entries = tokens_schema(100), list[FileEntry]()
        rows = [tokens[first : first + LENGTH] for first in range(0, len(tokens), LENGTH)]
        step = -(-len(rows) // files)
        for first in range(0, len(rows), step):
            with ShardWriter(tmp_path / name, "train", f"{first:06d}", schema) as shard:
                for group in (rows[first : first + step][:3], rows[first : first + step][3:]):
                    shard.write(pa.table({"tokens": group, "documents": [[]] * len(group)}, schema=schema))
            assert shard.entry is not None
            entries.append(shard.entry)
        tokenizer = tmp_path / f"{name}-tokenizer"
        tokenizer.mkdir()
        (tokenizer / "tokenizer.json").write_text(json.dumps(word_level()), encoding="utf-8")
        entry = entry_of(tokenizer, "tokenizer.json")
        return {"tokens": artifact(tmp_path / name, entries), "tokenizer": artifact(tokenizer, [entry])}

    return make


def artifact(folder: Path, files: list[FileEntry], counts: dict[str, Any] | None = None) -> Artifact:
    digest, values = digest_of(files), content_digest_of(files)
    return Artifact(folder, Manifest("test", 1, "", "counts", {}, {}, tuple(files), counts or {}, digest, values))


def word_level() -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    pieces = {word: at for at, word in enumerate([*SPECIALS, *WORDS])}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": at, "content": name, **plain} for at, name in enumerate(SPECIALS)],
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": None,
        "model": {"type": "WordLevel", "vocab": pieces, "unk_token": "<unk>"},
    }  # fmt: skip


@pytest.fixture
def counted(make_job: MakeJob) -> Callable[..., Artifact]:
    def run(inputs: dict[str, Artifact], name: str = "count", workers: int = 1, **params: Any) -> Artifact:
        section = Count(**params).model_dump(mode="json")
        job = make_job(name, stage="count", kind="counts", inputs=inputs, params=section, workers=workers)
        outcome = count.run(job)
        return artifact(job.folder, outcome.files, outcome.counts)

    return run


def cells(table_artifact: Artifact) -> list[tuple[int, int, float]]:
    tables = [pq.read_table(path) for path in table_artifact.files("parts/")]
    return [(row["word"], row["context"], row["count"]) for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"window": 3, "symmetric": False},
        {"window": 2, "weighting": "flat"},
        {"window": 20, "min_count": 40},
        {"window": 5, "symmetric": False, "weighting": "flat", "min_count": 60},
    ],
    ids=str,
)
def test_the_table_equals_a_count_by_brute_force(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact], params: dict[str, Any]
) -> None:
    tokens = ids_of(corpus(3))
    table_artifact = counted(make_inputs(tokens, files=3), **params)
    expected = brute_force(tokens, Count(**params))
    table = cells(table_artifact)
    assert {(word, context): value for word, context, value in table} == expected
    assert [cell[:2] for cell in table] == sorted(expected)
    assert table_artifact.manifest.counts["cells"] == len(expected)


@pytest.fixture
def several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content alone cuts the table: into several parts, each of several row groups."""
    monkeypatch.setattr(vocabulary, "PART_CELLS", 100)
    monkeypatch.setattr(vocabulary, "PARTS", 1000)
    monkeypatch.setattr(count, "GROUP_CELLS", 30)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on everything is cut small: tables of a few pairs, stretches of a sentence, merging pair by pair."""

    def cut() -> None:
        monkeypatch.setattr(count, "TASK_TOKENS", 100)
        monkeypatch.setattr(runs, "SLOTS", 1 << 6)
        monkeypatch.setattr(merging.merge_runs, "__kwdefaults__", {"capacity": 20})

    return cut


@pytest.mark.usefixtures("several_parts")
def test_neither_workers_nor_files_nor_memory_change_a_bit(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact], small: Callable[[], None]
) -> None:
    tokens = ids_of(corpus(5))
    first = counted(make_inputs(tokens))
    small()
    second = counted(make_inputs(tokens, files=4, name="more"), "second", workers=2)
    assert len(first.manifest.files) > 3
    assert first.manifest.digest == second.manifest.digest


@pytest.mark.usefixtures("several_parts")
def test_a_stage_that_was_stopped_goes_on_and_ends_in_the_same_table(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact], small: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    inputs = make_inputs(ids_of(corpus(7)), files=2)
    whole = counted(inputs, "whole")
    small()
    for name, calls in (("write_run", 5), ("_cells", 2), ("number", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(count, name, stopping_after(calls, getattr(count, name)))
            with pytest.raises(StageFailed, match="pulled the plug"):
                counted(inputs, "again", workers=2)
    again = counted(inputs, "again", workers=1)
    assert whole.manifest.digest == again.manifest.digest


def stopping_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    counter = itertools.count()

    def stopping(*args: Any, **options: Any) -> Any:
        if next(counter) >= calls:
            raise StageFailed("somebody pulled the plug")
        return function(*args, **options)

    return stopping


def test_a_sentence_goes_on_in_the_next_row(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact]
) -> None:
    sentence = [3 + at % len(WORDS) for at in range(3 * LENGTH)]
    table_artifact = counted(make_inputs([*sentence, 2, 0], files=2), window=1)
    expected = brute_force([*sentence, 2, 0], Count(window=1))
    assert {(word, context): value for word, context, value in cells(table_artifact)} == expected
    assert (sentence[LENGTH - 1], sentence[LENGTH]) in expected


def test_no_word_that_is_frequent_enough_is_one_clear_sentence(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact]
) -> None:
    with pytest.raises(
        StageFailed, match=r"no word is left: min_count is 9,000.*occurs 2 times.*Lower count.min_count"
    ):
        counted(make_inputs([3, 4, 2, 3, 1, 1, 1, 2, 0]), min_count=9000)


def test_a_corpus_of_unknown_words_is_one_clear_sentence(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact]
) -> None:
    with pytest.raises(StageFailed, match=r"no word is left.*occurs 0 times"):
        counted(make_inputs([1, 1, 2, 1, 0]))


def test_sentences_of_one_word_are_one_clear_sentence(
    make_inputs: Callable[..., dict[str, Artifact]], counted: Callable[..., Artifact]
) -> None:
    with pytest.raises(StageFailed, match="no two words stand in one window"):
        counted(make_inputs([3, 2, 4, 2, 0, 5, 0]))
