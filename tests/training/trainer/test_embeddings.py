"""Language models that begin with vectors learned before: which piece gets which, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.core.manifest import NAME, Manifest
from pipeline.core.records import tokens_schema
from pipeline.core.shards import ShardWriter
from pipeline.tokenizers import reference_encoder
from pipeline.tokenizers.bpe import BytePair
from training.models.base import build
from training.models.saved import save
from training.trainer.embeddings import average_by_words, token_counts, transfer_embeddings
from training.trainer.initial import take_embeddings

VOCABULARY = 308  # pieces that BPE finds in so little text
TEXTS = ["the cat sat on the mat", "a cat and a dog sat there", "今天天气很好", "天气预报说今天下雨"] * 20
WORDS = ["<|endoftext|>", "<unk>", "</s>", "the", "cat", "sat", "dog", "今天", "天气", "天气预报", "unseen"]
COUNTS = [0, 0, 0, 40, 40, 40, 20, 40, 20, 20, 0]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    path.write_text(BytePair().train(TEXTS, 330), encoding="utf-8")
    return path


@pytest.fixture
def shards(tokenizer: Path, tmp_path: Path) -> list[Path]:
    reference = reference_encoder.load(tokenizer)
    rows = [reference.encode_text(text) for text in TEXTS]
    with ShardWriter(tmp_path, "train", "a", tokens_schema(330)) as shard:
        spans = [[{"id": "0" * 32, "start": 0, "end": len(row)}] for row in rows]
        shard.write(pa.table({"tokens": rows, "documents": spans}, tokens_schema(330)))
    assert shard.entry is not None
    return [tmp_path / shard.entry.path]


@pytest.fixture
def make_artifact(tmp_path: Path) -> Callable[..., Path]:
    """make_artifact(width=8, languages={"en": 5}) → the folder of a word2vec artifact over WORDS."""

    def make(*, width: int = 8, languages: dict[str, int] | None = None, family: str = "word2vec") -> Path:
        folder = tmp_path / "artifact"
        torch.manual_seed(1)
        model = build(family, {"width": width}, vocabulary=len(WORDS), context=16)
        if family == "word2vec":
            model.counts[:] = torch.tensor(COUNTS)
        save(model, folder / "model")
        vocabulary = {word: at for at, word in enumerate(WORDS)}
        tree = {"model": {"type": "WordLevel", "vocab": vocabulary}, "added_tokens": []}
        (folder / "model" / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
        counts = {"languages": languages or {}}
        write_json(folder / NAME, Manifest("pretrain", 1, "f", "model", {}, {}, (), counts, "d", "c").to_dict())
        return folder

    return make


def test_a_piece_that_is_a_word_takes_its_vector_and_others_the_mean_of_their_words(tokenizer: Path) -> None:
    learned = torch.arange(len(WORDS) * 2, dtype=torch.float32).view(-1, 2)
    vocabulary = {word: at for at, word in enumerate(WORDS)}
    vectors, has_vector = average_by_words(learned, vocabulary, torch.tensor(COUNTS), tokenizer)
    reference = reference_encoder.load(tokenizer)
    (cat,) = reference.encode_text(" cat")
    assert has_vector[cat] and torch.equal(vectors[cat], learned[WORDS.index("cat")])
    for piece in reference.encode_text("今天"):
        assert has_vector[piece], "pieces of a Chinese word find a vector too"
    unknown = reference.encode_text("Q")[0]
    assert not has_vector[unknown] and not vectors[unknown].any()


def test_the_vectors_reach_the_embedding_in_the_size_the_model_draws(
    tokenizer: Path, shards: list[Path], make_artifact: Callable[..., Path]
) -> None:
    model = build("gpt", {"layers": 1, "heads": 2, "width": 8}, vocabulary=VOCABULARY, context=16)
    before = model.get_parameter("embed.weight").detach().clone()
    share = take_embeddings(model, make_artifact(), tokenizer, shards, languages={"zh": 9}, least=0.3)
    after = model.get_parameter("embed.weight").detach()
    moved = (before != after).any(1)
    assert 0.3 < share <= 1 and 0 < moved.sum() < VOCABULARY
    assert after[moved].std() == pytest.approx(float(before.std()), rel=0.05)


def test_vectors_of_another_width_language_or_kind_are_refused(
    tokenizer: Path, shards: list[Path], make_artifact: Callable[..., Path]
) -> None:
    model = build("gpt", {"layers": 1, "heads": 2, "width": 8}, vocabulary=VOCABULARY, context=16)
    with pytest.raises(UserError, match="the vectors are 6 numbers wide and the model's embedding is 8"):
        take_embeddings(model, make_artifact(width=6), tokenizer, shards, languages={"zh": 9}, least=0.3)
    with pytest.raises(UserError, match="learned from en, this corpus is in zh"):
        take_embeddings(model, make_artifact(languages={"en": 5}), tokenizer, shards, languages={"zh": 9}, least=0.3)
    with pytest.raises(UserError, match="of the training tokens have a vector"):
        take_embeddings(model, make_artifact(), tokenizer, shards, languages={"zh": 9}, least=1.0)


def test_pieces_of_another_tokenizer_are_no_words(
    tokenizer: Path, shards: list[Path], make_artifact: Callable[..., Path]
) -> None:
    artifact = make_artifact()
    (artifact / "model" / "tokenizer.json").write_text(BytePair().train(TEXTS, 300), encoding="utf-8")
    with pytest.raises(UserError, match="tokens of another tokenizer, which are not words"):
        transfer_embeddings(artifact, tokenizer, shards, width=8)


def test_tokens_are_counted_over_all_shards(tokenizer: Path, shards: list[Path]) -> None:
    counts = token_counts([*shards, *shards], 330)
    assert counts.sum() == 2 * sum(len(reference_encoder.load(tokenizer).encode_text(text)) for text in TEXTS)
