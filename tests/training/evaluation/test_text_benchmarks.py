"""Files of topics and of pairs: what they hold, and one sentence that names the line for all that they should not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError
from training.evaluation import task_files, text_benchmarks
from training.evaluation.section import Embeddings, Evaluate

TOPICS = [
    {"text": "The river flows to the sea.", "label": "geography", "split": "train"},
    {"text": "土耳其三面环海。", "label": "geography", "split": "dev"},
    {"text": "议会通过了法律。", "label": "politics", "split": "train"},
]
PAIRS = [
    {"question": "谁写了这首诗？", "context": "李白写了这首诗。"},
    {"question": "Who wrote it?", "context": "It was written by Keats."},
    {"question": "写了什么？", "context": "李白写了这首诗。"},
]


def written(path: Path, records: list[Any]) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_topics_are_read_compressed_or_not(tmp_path: Path, name: str) -> None:
    topics = text_benchmarks.read(written(tmp_path / name, TOPICS))
    assert topics == text_benchmarks.LabelledTexts(
        tuple(record["text"] for record in TOPICS), ("geography", "geography", "politics"), ("train", "dev", "train")
    )


def test_equal_passages_are_one(tmp_path: Path) -> None:
    pairs = text_benchmarks.read(written(tmp_path / "a.jsonl", PAIRS))
    assert pairs == text_benchmarks.QueryPassages(
        ("谁写了这首诗？", "Who wrote it?", "写了什么？"), ("李白写了这首诗。", "It was written by Keats."), (0, 1, 0)
    )


@pytest.mark.parametrize(("query", "passage"), text_benchmarks.QUERY_FIELDS)
def test_pairs_go_by_their_known_names(tmp_path: Path, query: str, passage: str) -> None:
    records = [{query: "one", passage: "一"}, {query: "two", passage: "二"}]
    assert text_benchmarks.read_query_passages(written(tmp_path / "a.jsonl", records)).passages == ("一", "二")


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "holds no texts"),
        ([{"text": "一", "label": "a"}, {"text": " ", "label": "b"}], "a.jsonl:2: `text` should be a text, is ' '"),
        ([{"text": "一", "label": "a"}, {"text": "二", "label": "a"}], "fewer than two topics"),
        ([{"text": "一", "label": "a"}, {"text": "二"}], "a.jsonl:2: `label` should be a text, is None"),
        ([{"question": "谁？", "context": "他。"}] * 2, "fewer than two passages"),
        ([{"title": "谁？"}], "a.jsonl:1: no query with a passage"),
        ([{"question": "谁？", "context": "他。"}, "{"], "a.jsonl:2: not JSON"),
        (["[1]"], "a.jsonl:1: not a JSON object"),
    ],
)
def test_a_wrong_file_is_an_error_of_one_sentence(tmp_path: Path, records: list[Any], words: str) -> None:
    with pytest.raises(UserError) as raised:
        text_benchmarks.read(written(tmp_path / "a.jsonl", records))
    assert words in str(raised.value)


def test_a_damaged_or_foreign_file_is_an_error(tmp_path: Path) -> None:
    cut, foreign = tmp_path / "cut.jsonl.gz", tmp_path / "foreign.jsonl"
    cut.write_bytes(gzip.compress(json.dumps(TOPICS[0]).encode())[:-9])
    foreign.write_bytes("土耳其".encode("gbk"))
    with pytest.raises(UserError, match="damaged gzip"):
        text_benchmarks.read(cut)
    with pytest.raises(UserError, match="not UTF-8"):
        text_benchmarks.read(foreign)


def test_more_texts_than_can_meet_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_benchmarks, "MAX_TEXTS", 2)
    with pytest.raises(UserError, match="more than 2 texts"):
        text_benchmarks.read(written(tmp_path / "a.jsonl", TOPICS))


def test_a_probe_needs_lines_to_learn_from_and_others(tmp_path: Path) -> None:
    assert text_benchmarks.read_split_topics(written(tmp_path / "a.jsonl", TOPICS)).splits == ("train", "dev", "train")
    bare = [{"text": record["text"], "label": record["label"]} for record in TOPICS]
    with pytest.raises(UserError, match="has 0 and 3"):
        text_benchmarks.read_split_topics(written(tmp_path / "b.jsonl", bare))


def test_a_file_of_the_other_kind_is_reported_before_work(tmp_path: Path) -> None:
    topics, pairs = written(tmp_path / "t.jsonl", TOPICS), written(tmp_path / "p.jsonl", PAIRS)
    right: Any = {"embeddings": {"topics": [str(topics)], "pairs": [str(pairs)]}}
    wrong: Any = {"embeddings": {"topics": [str(pairs)], "pairs": [str(topics)]}}
    probe: Any = {"probe": {"files": [str(topics)]}}
    assert not list(task_files.problems(Evaluate(tasks=[right, probe]).tasks))
    problems = [words for _, words in task_files.problems(Evaluate(tasks=[wrong]).tasks)]
    assert len(problems) == 2 and "`text` should be a text" in problems[0] and "no query with a passage" in problems[1]


def test_a_judge_without_files_is_refused() -> None:
    with pytest.raises(ValueError, match="name files under `topics`"):
        Embeddings()
    with pytest.raises(ValueError, match="two files are called a"):
        Embeddings(topics=["x/a"], pairs=["y/a"])
