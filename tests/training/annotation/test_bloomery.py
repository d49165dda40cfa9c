"""A Bloomery model of another run: bits per byte of a document, as `evaluate` counts them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.core.errors import StageFailed
from pipeline.core.shards import entry_of
from pipeline.tokenizers import reference_encoder
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.wordpiece import WordPiece
from training.annotation.bloomery_model import BitsPerByte
from training.annotation.bloomery_section import BloomeryModel
from training.models.base import build
from training.models.saved import save

from .conftest import published

TEXTS = [
    "The quiet river carries a letter past the old station.",
    "安静的河流带着一封信经过古老的车站。",
    "The quiet river 安静的河流 " * 12,
    "字",
    "",
]
CONTEXT = 24


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Any]:
    """make_model("gpt") → the artifact of a tiny model with its tokenizer."""

    def make(family: str = "gpt", tokenizer: Any = None, **options: Any) -> Any:
        folder = tmp_path / f"model-{family}"
        words = (tokenizer or BytePair()).train(TEXTS * 4, 420)
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "tokenizer.json").write_text(words, encoding="utf-8")
        torch.manual_seed(5)
        vocabulary = reference_encoder.load(folder / "model" / "tokenizer.json").vocabulary
        heads = {"heads": 2} if family in ("gpt", "bert") else {}
        model = build(family, {"layers": 2, "width": 16, **heads, **options}, vocabulary=vocabulary, context=CONTEXT)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 0.3 if parameter.dim() == 1 else 0.0, 0.2)
        save(model, folder / "model")
        names = ("config.json", "model.safetensors", "tokenizer.json")
        return published(folder, "pretrain", "model", [entry_of(folder, f"model/{name}") for name in names])

    return make


def table(texts: list[str]) -> pa.Table:
    return pa.table({"id": [f"d{at}" for at in range(len(texts))], "text": pa.array(texts, pa.large_string()),
                     "language": pa.array([None] * len(texts), pa.string())})  # fmt: skip


def scorer_of(artifact: Any, tmp_path: Path, **options: Any) -> BitsPerByte:
    scorer = BitsPerByte(BloomeryModel(artifact=artifact.uri, **options), 0)
    scorer.load(tmp_path, artifact.folder("model"))
    return scorer


@pytest.mark.parametrize("family", ["gpt", "lstm"])
def test_a_document_costs_what_the_model_predicts_from_left_to_right(
    family: str, make_model: Any, tmp_path: Path
) -> None:
    scorer = scorer_of(make_model(family), tmp_path, windows=None)
    scores = scorer.score(table(TEXTS))
    for text, score in zip(TEXTS[:4], scores[:4], strict=True):
        end = scorer.encoder.end_of_text
        row = [end, *scorer.encoder.encode_text(text), end]
        nats = 0.0
        for first in range(0, len(row) - 1, CONTEXT - 1):
            window = torch.tensor(row[first : first + CONTEXT])
            with torch.inference_mode():
                logits = scorer.model.logits(window[None])[0]
            nats += float(torch.nn.functional.cross_entropy(logits[:-1], window[1:], reduction="sum"))
        assert score == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-5)
    assert np.isnan(scores[4])
    assert scores[0] == scorer.score(table(TEXTS[:1]))[0]


def test_the_first_window_counts_its_own_bytes_alone(make_model: Any, tmp_path: Path) -> None:
    scorer = scorer_of(make_model(), tmp_path)
    ids = scorer.encoder.encode_text(TEXTS[2])
    assert len(ids) > CONTEXT
    window = torch.tensor([scorer.encoder.end_of_text, *ids[: CONTEXT - 1]])
    with torch.inference_mode():
        logits = scorer.model.logits(window[None])[0]
    nats = float(torch.nn.functional.cross_entropy(logits[:-1], window[1:], reduction="sum"))
    size = len(scorer.bytes.text(ids[: CONTEXT - 1]))
    assert scorer.score(table(TEXTS))[2] == pytest.approx(nats / math.log(2) / size, rel=1e-5)


def test_text_that_the_tokenizer_loses_is_charged(make_model: Any, tmp_path: Path) -> None:
    scorer = scorer_of(make_model(tokenizer=WordPiece()), tmp_path, windows=None)
    known, unknown = scorer.score(table([TEXTS[0], TEXTS[0] + " ҈҉Ꙩꙮ"]))
    assert math.isfinite(unknown) and unknown > known


@pytest.mark.parametrize(
    ("family", "words"),
    [("bert", "a bert does not predict text from left to right"), ("bilstm", "a bilstm does not predict")],
)
def test_a_model_that_predicts_no_text_is_refused_before_any_work(family: str, words: str, make_model: Any) -> None:
    [(option, what)] = BloomeryModel(artifact=make_model(family).uri).problems()
    assert option == "artifact" and words in what


def test_weights_that_diverged_are_an_error_that_names_the_document(make_model: Any, tmp_path: Path) -> None:
    scorer = scorer_of(make_model(), tmp_path)
    with torch.no_grad():
        scorer.model.get_parameter("norm.weight").fill_(float("nan"))
    with pytest.raises(StageFailed, match="gives document d0 a score that is not a finite number"):
        scorer.score(table(TEXTS))


def test_the_stage_reads_the_artifact_of_another_run_by_its_digest(
    make_model: Any, documents: Any, make_annotate_job: Any, annotate_with: Any
) -> None:
    artifact = make_model()
    model = {"bloomery": {"artifact": artifact.uri}}
    job = make_annotate_job({"documents": documents, "scoring_model": artifact}, model)
    output = annotate_with(job)
    assert output.counts["in"] == 70 and output.counts["unscored"] == {} and output.numerics is not None
    assert artifact.uri not in json.dumps(job.params)
