"""Models of a local folder of transformers: the library's own numbers, in windows, whatever the batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from pipeline.core.config import Section
from pipeline.core.errors import StageFailed, UserError
from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.wordpiece import WordPiece
from training.annotation.equal_lengths import equal_length_batches, weighted_means
from training.annotation.huggingface import EmbeddingSimilarity, SequenceClassifier
from training.annotation.huggingface_section import FolderClassifier, FolderEmbedding, longest_window
from training.annotation.model_folder import folder_identity, folder_problem
from training.annotation.text_sets import TextReader, sources

TEXTS = [
    "The quiet river carries a letter past the old station, and nobody has opened it yet.",
    "安静的河流带着一封信经过古老的车站，村子里还没有人打开它。",
    "river",
    "字",
    "",
    "The quiet river 安静的河流 " * 30,
    "nobody in the village",
    "naïve 😀 更多",
]
SIZE = {"vocab_size": 400, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
LONGEST = 32


def save_tokenizer(folder: Path, *, template: bool) -> None:
    specials = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    trainer = WordPiece() if template else BytePair(TokenizerOptions(specials=specials))
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.from_str(trainer.train(TEXTS * 4, 400))
    if template:
        ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ids)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Bert with three labels, drawn far from zero so that its scores differ."""
    folder = tmp_path_factory.mktemp("bert")
    save_tokenizer(folder, template=True)
    config = transformers.BertConfig(
        **SIZE, max_position_embeddings=LONGEST, id2label={0: "bad", 1: "fair", 2: "good"}, initializer_range=0.4
    )
    torch.manual_seed(1)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with one output and no padding token, as classifiers of educational value are made."""
    folder = tmp_path_factory.mktemp("llama")
    save_tokenizer(folder, template=False)
    config = transformers.LlamaConfig(
        **SIZE, max_position_embeddings=LONGEST, num_labels=1, initializer_range=0.4, pad_token_id=None
    )
    torch.manual_seed(2)
    transformers.LlamaForSequenceClassification(config).save_pretrained(folder)
    return folder


def table(texts: list[str]) -> pa.Table:
    return pa.table({"id": [str(at) for at in range(len(texts))], "text": pa.array(texts, pa.large_string()),
                     "language": pa.array([None] * len(texts), pa.string())})  # fmt: skip


def classifier(folder: Path, tmp_path: Path, **options: Any) -> SequenceClassifier:
    scorer = SequenceClassifier(FolderClassifier(folder=str(folder), max_length=LONGEST, **options), 0)
    scorer.load(tmp_path, folder)
    return scorer


def test_scores_are_those_of_the_library_for_each_text_alone(
    bert_folder: Path, llama_folder: Path, tmp_path: Path
) -> None:
    for folder, options in ((bert_folder, {"label": "good"}), (llama_folder, {})):
        scores = classifier(folder, tmp_path, **options).score(table(TEXTS))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        for text, score in zip(TEXTS, scores, strict=True):
            if not text:
                assert np.isnan(score)
                continue
            tokens = tokenizer(text, truncation=True, max_length=LONGEST, return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                logits = model(input_ids=tokens).logits[0]
            assert score == pytest.approx(float(logits.softmax(-1)[2] if options else logits[0]), abs=1e-5)
        assert len(set(scores[~np.isnan(scores)])) == 7


def test_the_score_of_a_long_document_is_the_mean_of_its_windows(bert_folder: Path, tmp_path: Path) -> None:
    first = classifier(bert_folder, tmp_path, label=2)
    several = classifier(bert_folder, tmp_path, label=2, windows=3)
    every = classifier(bert_folder, tmp_path, label=2, windows=None)
    long = [TEXTS[5]]
    windows = several.model.windows(long)
    assert [len(window.tokens) for window in windows] == [LONGEST] * 3 and windows[0].size == LONGEST - 2
    values = [float(value) for [value] in several._values(windows)]
    assert several.score(table(long))[0] == pytest.approx(sum(values) / 3, abs=1e-12)
    assert first.score(table(long))[0] == pytest.approx(values[0], abs=1e-6)
    assert len(every.model.windows(long)) > 3
    short = [every.score(table(TEXTS))[0], first.score(table(TEXTS))[0]]  # one window
    assert short[0] == pytest.approx(short[1], abs=1e-6)


def test_equal_lengths_are_batched_together_and_every_window_once() -> None:
    batches = [batch.tolist() for batch in equal_length_batches([5, 3, 5, 900, 3, 5], 10)]
    assert batches == [[1, 4], [0, 2], [5], [3]]
    assert list(equal_length_batches([], 10)) == []
    means = weighted_means([1.0, 4.0, 2.0], [1.0, 3.0, 5.0], [0, 0, 2], 3)
    assert means[0] == 3.25 and np.isnan(means[1]) and means[2] == 2.0


@pytest.fixture
def near(tmp_path: Path) -> Callable[..., list[Any]]:
    def write(*texts: str) -> list[Any]:
        lines = "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
        (tmp_path / "near.jsonl").write_text(lines, encoding="utf-8")
        return [{"reader": "jsonl", "paths": str(tmp_path / "near.jsonl")}]

    return write


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_an_embedding_is_compared_with_the_mean_of_the_texts(
    pooling: str, bert_folder: Path, tmp_path: Path, near: Any
) -> None:
    options = FolderEmbedding.model_validate(
        {"folder": str(bert_folder), "max_length": LONGEST, "near": near(TEXTS[0], TEXTS[1]), "pooling": pooling}
    )
    scorer = EmbeddingSimilarity(options, 0)
    reader = TextReader("near", options.near, sources("near", options.near))
    assert scorer.prepare({"near": reader}, tmp_path) == {"near": 2}
    scorer.load(tmp_path, bert_folder)
    scores = scorer.score(table(TEXTS))
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_folder)
    model = transformers.AutoModel.from_pretrained(bert_folder).eval()

    def vector(text: str) -> Any:
        tokens = tokenizer(text, truncation=True, max_length=LONGEST, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            states = model(input_ids=tokens).last_hidden_state[0]
        state = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling].double().numpy()
        return state / np.linalg.norm(state)

    centre = (vector(TEXTS[0]) + vector(TEXTS[1])) / 2
    for at in (0, 1, 2, 5, 6):
        assert scores[at] == pytest.approx(float(vector(TEXTS[at]) @ centre / np.linalg.norm(centre)), abs=1e-5)
    assert np.isnan(scores[4]) and np.nanmax(scores) <= 1.0


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ({}, "label", "is missing: the model has 3 outputs (bad, fair, good)"),
        ({"label": "god"}, "label", "the model has no label 'god'. It has bad, fair, good."),
        ({"label": "good", "max_length": 512}, "max_length", "is 512, and the model has positions for 32"),
    ],
)
def test_a_wrong_option_is_found_before_any_work(options: Any, option: str, words: str, bert_folder: Path) -> None:
    section = FolderClassifier(folder=str(bert_folder), **{"max_length": LONGEST, **options})
    [(path, what)] = section.problems()
    assert path == option and words in what


def test_roberta_has_fewer_positions_than_it_says() -> None:
    assert longest_window({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    assert longest_window({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}) == 512
    assert longest_window({"model_type": "mamba"}) is None


def test_a_folder_with_a_pickle_or_with_code_of_its_own_is_refused(bert_folder: Path, tmp_path: Path) -> None:
    assert folder_problem(bert_folder) is None
    (tmp_path / "config.json").write_text((bert_folder / "config.json").read_text(), encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    assert "a pickle is never opened" in str(folder_problem(tmp_path))
    assert set(folder_identity(str(tmp_path))) == {"config.json", "tokenizer.json"}
    config = json.loads((bert_folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "modeling.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "brings code of its own" in str(folder_problem(tmp_path))


def test_a_folder_without_its_head_is_refused_and_weights_that_overflow_are_an_error(
    bert_folder: Path, tmp_path: Path
) -> None:
    save_tokenizer(tmp_path, template=True)
    transformers.AutoModel.from_pretrained(bert_folder).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="lacks classifier.bias and so is no complete BertForSequenceClassification"):
        classifier(tmp_path, tmp_path, label=0)
    broken = classifier(bert_folder, tmp_path, label=0)
    with torch.no_grad():
        broken.model.model.classifier.bias.fill_(float("inf"))
    with pytest.raises(StageFailed, match="gives document 0 a score that is not a finite number"):
        broken.score(table(TEXTS))


def test_the_stage_scores_with_a_folder_and_names_its_numerics_class(
    bert_folder: Path, documents: Any, make_annotate_job: Any, annotate_with: Any
) -> None:
    model = {"transformers": {"folder": str(bert_folder), "max_length": LONGEST, "label": "good"}}
    job = make_annotate_job({"documents": documents}, model)
    output = annotate_with(job)
    assert output.counts["unscored"] == {} and output.counts["in"] == 70
    assert output.numerics is not None
    assert set(output.numerics) == {"device", "precision", "threads", "torch", "transformers"}
    assert str(bert_folder) not in json.dumps(job.params)
    assert isinstance(FolderClassifier(folder="x"), Section)
