"""Vectors of models: a transformers folder, a model of another run, and the words of a word2vec model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from pipeline.kernels.vectors import ONE
from pipeline.tokenizers import reference_encoder
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.wordpiece import WordPiece
from training.embedding import EMBEDDERS
from training.embedding.base import Embedder
from training.embedding.bloomery_vectors import BloomeryEmbedder
from training.embedding.folder_vectors import FolderEmbedder
from training.embedding.mean_of_words import FRACTION, WordEmbedder
from training.embedding.models_section import BloomeryVectors, FolderPooling, MeanOfWords
from training.evaluation.sentence_vectors import sentence_vectors
from training.models.base import build
from training.models.saved import save

TEXTS = [
    "The quiet river carries a letter past the old station, and nobody has opened it yet.",
    "安静的河流带着一封信经过古老的车站，村子里还没有人打开它。",
    "",
    "The quiet river 安静的河流 " * 9,
]


def vectors_of(model: Embedder) -> tuple[np.ndarray, list[bool]]:
    table = pa.table(
        {"id": [f"d{at}" for at in range(len(TEXTS))], "text": pa.array(TEXTS, pa.large_string()),
         "language": pa.nulls(len(TEXTS), pa.string())}
    )  # fmt: skip
    values, missing = model.column(table)
    return values.flatten().to_numpy().reshape(len(TEXTS), -1).astype(np.float64), missing.tolist()


def saved_model(folder: Path, family: str, **options: Any) -> Path:
    folder.mkdir()
    (folder / "tokenizer.json").write_text(BytePair().train(TEXTS * 4, 420), encoding="utf-8")
    vocabulary = reference_encoder.load(folder / "tokenizer.json").vocabulary
    torch.manual_seed(5)
    save(build(family, {"width": 16, **options}, vocabulary=vocabulary, context=32), folder)
    return folder


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(1) / np.maximum(np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1), 1e-9)


def test_a_folder_gives_the_mean_of_its_states(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(WordPiece().train(TEXTS * 4, 400))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=400, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.4,
    )  # fmt: skip
    torch.manual_seed(1)
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    embedder = FolderEmbedder(FolderPooling(folder=str(tmp_path), max_length=64), 0)
    embedder.load(tmp_path, tmp_path)
    vectors, missing = vectors_of(embedder)
    assert missing == [False, False, True, False] and embedder.numerics()["precision"] == "fp32"
    with torch.inference_mode():
        expected = model(torch.tensor([tokenizer.encode(TEXTS[1]).ids])).last_hidden_state.mean(1).double().numpy()
    assert cosines(vectors[1:2], expected)[0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("family", ["gpt", "lstm"])
def test_a_model_gives_the_vectors_that_evaluate_uses(family: str, tmp_path: Path) -> None:
    heads = {"heads": 2} if family == "gpt" else {}
    folder = saved_model(tmp_path / "model", family, layers=2, **heads)
    embedder = BloomeryEmbedder(BloomeryVectors(artifact="unused"), 0)
    embedder.load(tmp_path, folder)
    vectors, missing = vectors_of(embedder)
    expected = sentence_vectors(embedder.model, folder / "tokenizer.json", TEXTS).double().numpy()
    assert missing == [False, False, True, False]
    assert cosines(vectors, expected)[[0, 1, 3]] == pytest.approx(1, abs=1e-6)


def test_words_are_weighted_by_their_frequency(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "model", "word2vec")
    from training.models.saved import load

    model = load(folder)
    counts = torch.arange(model.counts.numel()) % 50 + 1
    model.counts.copy_(counts)
    save(model, folder)
    embedder = WordEmbedder(MeanOfWords(artifact="unused", weight=0.01), 0)
    embedder.load(tmp_path, folder)
    vectors, missing = vectors_of(embedder)
    assert missing == [False, False, True, False] and embedder.numerics() is None
    encoder = reference_encoder.load(folder / "tokenizer.json")
    unit = torch.nn.functional.normalize(model.vectors().double(), dim=1).numpy()
    words = np.flatnonzero(embedder.table.any(axis=1))
    share = counts.numpy() / counts.numpy()[words].sum()
    ids = np.array(encoder.encode_text(TEXTS[0]))
    expected = (unit[ids] * (0.01 / (0.01 + share[ids]))[:, None]).sum(0, keepdims=True)
    assert cosines(vectors[:1], expected)[0] == pytest.approx(1, abs=1e-6)
    assert np.abs(embedder.table).max() <= FRACTION and (vectors[0] ** 2).sum() == pytest.approx(ONE, rel=1e-3)


def test_every_model_of_the_table_loads() -> None:
    assert {name: EMBEDDERS.load(name).__name__ for name in ("hashed", "transformers", "bloomery", "word_vectors")}


@pytest.mark.parametrize(
    ("section", "family", "message"),
    [(BloomeryVectors, "word2vec", "vectors of words alone"), (MeanOfWords, "gpt", "no vectors of words")],
)
def test_a_model_of_the_wrong_family_is_refused(section: Any, family: str, message: str) -> None:
    assert message in section(artifact="a").family_problem(family)
    assert not section(artifact="a").family_problem("gpt" if section is BloomeryVectors else "glove")
