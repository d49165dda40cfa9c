"""What an exported tokenizer adds around a text: what training put there, whatever its tokenizer.json brings along."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer

from pipeline.tokenizers.base import TokenizerOptions, TokenizerTrainer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.wordpiece import WordPiece
from training.evaluation import generate
from training.evaluation.section import Sampling
from training.export import FORMATS
from training.export.base import ExportSource
from training.export.section import Export
from training.models.saved import load as load_model

MARKS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")


class OfAnother(TokenizerTrainer):
    """A tokenizer.json as other programs write them: it begins a text with a BOS, pads, and cuts."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        tokenizer = Tokenizer.from_str(
            BytePair(TokenizerOptions(specials=("<s>", "</s>", "<pad>"))).train(texts, vocabulary)
        )
        tokenizer.enable_padding(pad_id=3, pad_token="<pad>", length=40)
        tokenizer.enable_truncation(3)
        tree = json.loads(tokenizer.to_str())
        begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
        text, second = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
        template = {"type": "TemplateProcessing", "single": [begin, text], "pair": [begin, text, second]}
        template["special_tokens"] = {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}
        tree["post_processor"] = {"type": "Sequence", "processors": [tree["post_processor"], template]}
        return json.dumps(tree, ensure_ascii=False)


class Roberta(TokenizerTrainer):
    """Marks as RoBERTa spells them and puts them, with no second segment."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        tree = json.loads(
            BytePair(TokenizerOptions(specials=("<s>", "<pad>", "</s>", "<mask>"))).train(texts, vocabulary)
        )
        ends = {"sep": ["</s>", 3], "cls": ["<s>", 1], "trim_offsets": True, "add_prefix_space": False}
        tree["post_processor"] = {"type": "RobertaProcessing", **ends}
        return json.dumps(tree, ensure_ascii=False)


KINDS: dict[str, Callable[[], TokenizerTrainer]] = {
    "bpe": BytePair,
    "wordpiece": WordPiece,
    "lower-case wordpiece": lambda: WordPiece(TokenizerOptions(lowercase=True)),
    "file": OfAnother,
}
MASKED_KINDS: dict[str, Callable[[], TokenizerTrainer]] = {
    "bpe": lambda: BytePair(TokenizerOptions(specials=MARKS)),
    "wordpiece": WordPiece,
    "file": Roberta,
}
TEXTS = ["The quiet river", "今天天气很好。", "a", "naïve 😀 and more"]


@pytest.fixture(scope="module")
def written(make_corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[ExportSource, Path]]:
    """written(family, kind, format) → the source and the folder, after its check; made once."""

    @cache
    def write(family: str, kind: str, name: str = "huggingface") -> tuple[ExportSource, Path]:
        kinds = MASKED_KINDS if family == "bert" else KINDS
        source = ExportSource.of(make_corpus(6, family=family, tokenizer=kinds[kind]()).inputs)
        folder = tmp_path_factory.mktemp(f"{family}-{name}") / name
        export = FORMATS.create(Export(formats=[name]).formats[0])
        export.write(source, folder)
        export.check(source, folder)
        return source, folder

    return write


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_causal_tokenizer_adds_nothing_and_pads_on_the_left(kind: str, written: Any) -> None:
    source, folder = written("gpt", kind)
    tokenizer, reference = transformers.AutoTokenizer.from_pretrained(folder), load(source.tokenizer)
    assert [tokenizer(text)["input_ids"] for text in TEXTS] == [reference.encode_text(text) for text in TEXTS]
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["attention_mask"][:, -1].tolist() == [1, 1, 1, 1] and 0 in batch["attention_mask"][:, 0]
    assert batch["input_ids"][2, 0] == tokenizer.pad_token_id


@pytest.mark.parametrize("kind", list(KINDS))
def test_generation_and_pipeline_go_on_as_our_own_model_does(kind: str, written: Any) -> None:
    source, folder = written("gpt", kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    write = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    reference, ours = load(source.tokenizer), load_model(source.model)
    for text in TEXTS:
        prompt = [reference.end_of_text, *reference.encode_text(text)]
        expected = list(generate.generate_tokens(ours, prompt, Sampling(tokens=6, temperature=0), seed=0))
        tokens = tokenizer(tokenizer.bos_token + text, return_tensors="pt")
        generated = model.generate(**tokens, max_new_tokens=6, do_sample=False)[0][tokens["input_ids"].shape[1] :]
        assert len(prompt) + 6 <= ours.context and generated.tolist() == expected[: len(generated)]
        answers = write(tokenizer.bos_token + text, max_new_tokens=6, do_sample=False, return_tensors=True)
        assert answers[0]["generated_token_ids"][-len(generated) :] == generated.tolist()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_padded_batch_is_continued_as_each_prompt_alone(kind: str, written: Any) -> None:
    _, folder = written("gpt", kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    together = model.generate(**tokenizer(TEXTS, padding=True, return_tensors="pt"), **options)[:, -6:]
    alone = [model.generate(**tokenizer(text, return_tensors="pt"), **options)[0, -6:] for text in TEXTS]
    assert torch.equal(together, torch.stack(alone))


@pytest.mark.parametrize("kind", list(MASKED_KINDS))
def test_a_masked_tokenizer_adds_special_tokens_and_gives_segments(kind: str, written: Any) -> None:
    source, folder = written("bert", kind)
    tokenizer, reference = transformers.AutoTokenizer.from_pretrained(folder), load(source.tokenizer)
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert set(tokenizer("a")) == {"input_ids", "token_type_ids", "attention_mask"}
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == [first, *reference.encode_text(text), last]
    first_ids, second_ids = (reference.encode_text(text) for text in ("河流", "车站"))
    pair = tokenizer("河流", "车站")
    assert pair["input_ids"] == [first, *first_ids, last, *second_ids, last]
    assert pair["token_type_ids"] == [0] * (len(first_ids) + 2) + [1] * (len(second_ids) + 1)
    assert tokenizer(TEXTS, padding=True)["attention_mask"][2][0] == 1  # filled up on the right


@pytest.mark.parametrize(("family", "kind"), [*(("gpt", k) for k in KINDS), *(("bert", k) for k in MASKED_KINDS)])
def test_ids_of_special_tokens_agree_wherever_they_are_named(family: str, kind: str, written: Any) -> None:
    source, folder = written(family, kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    files = [read(path) for path in (folder / "config.json", folder / "generation_config.json") if path.exists()]
    assert len(files) == (2 if family == "gpt" else 1)
    for name in ("bos", "eos", "pad"):
        assert {file[f"{name}_token_id"] for file in files} == {getattr(tokenizer, f"{name}_token_id")}
    assert tokenizer.eos_token_id == load(source.tokenizer).end_of_text
    assert tokenizer.unk_token_id == load(source.tokenizer).unknown


@pytest.mark.parametrize("name", ["safetensors", "onnx"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_recurrent_export_gives_the_ids_of_bare_text(kind: str, name: str, written: Any) -> None:
    source, folder = written("gru", kind, name)
    tokenizer, reference = Tokenizer.from_file(str(folder / "tokenizer.json")), load(source.tokenizer)
    assert [tokenizer.encode(text).ids for text in TEXTS] == [reference.encode_text(text) for text in TEXTS]
