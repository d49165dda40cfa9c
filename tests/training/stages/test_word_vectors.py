"""Word vectors through the stages evaluate and export: files by content, the same bytes, and nothing tells a path."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core.artifact import Artifact
from pipeline.core.files import write_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job
from pipeline.core.manifest import NAME, Manifest
from pipeline.core.shards import entry_of
from pipeline.tokenizers.reference_encoder import load
from training.evaluation.section import Evaluate, evaluate_params, file_sources
from training.evaluation.worker import work
from training.export.section import Export
from training.models.base import build
from training.models.saved import save
from training.stages import evaluate, export

PAIRS = (
    "# of both languages\nriver\tstation\t7.5\nletter\tvillage\t3\n天气\t今天\t9\n河流\t车站\t6\nriver\tnowhere\t1\n"
)
QUESTIONS = ": en\nriver station letter village\n: zh\n今天 天气 河流 车站\nno such words here\n"


@pytest.fixture
def words(corpus: Any, tmp_path: Path) -> Any:
    """The usual corpus with a model of word vectors over its pieces."""
    torch.manual_seed(3)
    size = load(corpus.inputs.single("tokenizer").file("tokenizer.json")).vocabulary
    model: Any = build("word2vec", {"width": 12}, vocabulary=size, context=corpus.length)
    model.counts[1:] = torch.arange(size - 1, 0, -1)
    save(model, tmp_path / "vectors" / "model")
    files = tuple(entry_of(tmp_path / "vectors", f"model/{name}") for name in ("config.json", "model.safetensors"))
    manifest = Manifest("pretrain", 1, "f" * 64, "model", {"objective": "skipgram"}, {}, files, {}, "d" * 64, "d" * 64)
    write_json(tmp_path / "vectors" / NAME, manifest.to_dict())  # items of an evaluation open their inputs by URI
    inputs = Inputs.of({**corpus.inputs.by_kind, "model": Artifact(tmp_path / "vectors", manifest)})
    return dataclasses.replace(corpus, inputs=inputs)


@pytest.fixture
def asked(tmp_path: Path) -> Evaluate:
    (tmp_path / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    (tmp_path / "questions.txt").write_text(QUESTIONS, encoding="utf-8")
    return Evaluate(
        tasks=[
            {"similarity": {"files": [str(tmp_path / "pairs.tsv")]}},
            {"analogies": {"files": [str(tmp_path / "questions.txt")]}},
            {"neighbours": {"count": 3, "per_language": 2}},
        ]
    )


class Here:
    """A launcher that does the work in this process, the last piece first if told so."""

    def __init__(self, *, backwards: bool) -> None:
        self.backwards = backwards

    def tasks(self, target: str, specs: list[dict[str, Any]], *, job: Job) -> list[Any]:
        for spec in reversed(specs) if self.backwards else specs:
            work(json.loads(json.dumps(spec)))
        return [None] * len(specs)


def test_scores_and_neighbours_are_the_same_bytes_in_any_order_of_work(
    words: Any, asked: Evaluate, make_stage_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = json.loads(json.dumps(evaluate_params(asked, 17)))
    outcomes, jobs = [], []
    for name in ("a", "b"):
        launcher = Here(backwards=name == "b")
        monkeypatch.setattr(Job, "launch", lambda self, launcher=launcher: launcher)
        jobs.append(make_stage_job("evaluate", "scores", words, params, name=name, sources=file_sources(asked)))
        outcomes.append(evaluate.run(jobs[-1]))
    assert outcomes[0] == outcomes[1]
    assert [file.path for file in outcomes[0].files] == ["scores.json", "neighbours.json"]
    scores = (jobs[0].folder / "scores.json").read_text(encoding="utf-8")
    found = {(row["task"], row["metric"]): row for row in json.loads(scores)}
    assert found["similarity", "pairs.tsv: covered"]["items"] == 5
    assert found["analogies", "questions.txt: covered"]["items"] == 3
    assert str(jobs[0].folder.parents[1]) not in scores
    near = json.loads((jobs[0].folder / "neighbours.json").read_text(encoding="utf-8"))
    assert [one["language"] for one in near] == ["en", "en", "zh", "zh"]
    assert all(len(one["neighbours"]) == 3 for one in near)


def test_word_vectors_are_exported_and_opened(words: Any, make_stage_job: Any) -> None:
    pytest.importorskip("gensim", reason="gensim is not installed: pip install 'bloomery[export]'")
    params = Export(formats=["vectors"]).model_dump(mode="json")
    first, second = (export.run(make_stage_job("export", "files", words, params, name=name)) for name in "ab")
    assert first == second
    assert [file.path for file in first.files] == [
        f"vectors/{name}" for name in ("README.md", "vectors.txt", "vectors.bin", "vocabulary.tsv")
    ]
