"""A corpus in English and Chinese as the stages before leave it: documents, tokenizer, packed rows, a tiny model."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.files import write_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Job
from pipeline.core.manifest import NAME, Manifest, content_digest_of, digest_of
from pipeline.core.records import DOCUMENTS, document_id, tokens_schema
from pipeline.core.shards import FileEntry, ShardWriter, entry_of, number
from pipeline.core.stage import ArtifactKind
from pipeline.tokenizers.base import Encoded, TokenizerOptions
from pipeline.tokenizers.base import TokenizerTrainer as Tokenizer
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.packed_rows import TokenSpan, to_table, with_end_of_text
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.wordpiece import WordPiece
from training.models.base import build
from training.models.saved import save

ENGLISH = "the quiet river carries a letter past the old station and nobody in the village has opened it yet".split()
CHINESE = "安静的河流带着一封信经过古老的车站村子里还没有人打开它今天天气很好我们去图书馆看书"


@dataclass(frozen=True)
class Corpus:
    """The inputs of a stage by kind, and the texts that are held out, with their languages, in order."""

    inputs: Inputs
    held_out: tuple[tuple[str, str | None], ...]
    length: int


def made_texts(count: int) -> list[tuple[str, str | None]]:
    """Documents of two languages, one of no known language, one that spells the special token, one of one character."""
    draw = random.Random(17)
    texts: list[tuple[str, str | None]] = []
    for at in range(count):
        if at % 2:
            texts.append(("".join(draw.choices(CHINESE, k=draw.randint(5, 90))) + "。", "zh"))
        else:
            texts.append((" ".join(draw.choices(ENGLISH, k=draw.randint(3, 60))).capitalize() + ".\n", "en"))
    return [*texts, ("naïve 😀 <|endoftext|> and 更多", None), ("字", "zh")]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As the workers have it; two threads on these sizes only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Corpus]:
    """make_corpus(24, length=32, tokenizer=WordPiece(), family="gpt", shape="llama") → a Corpus; all is held out."""

    def make(
        documents: int = 24, *, length: int = 32, row_group: int = 5, tokenizer: Tokenizer | None = None, **options: Any
    ) -> Corpus:
        root = tmp_path_factory.mktemp("corpus")
        texts = made_texts(documents)
        (root / "tokenizer").mkdir()
        words = (tokenizer or BytePair()).train([text for text, _ in texts], 420)
        (root / "tokenizer" / "tokenizer.json").write_text(words, encoding="utf-8")
        inputs = {
            "documents": _documents(root / "documents", texts),
            "tokenizer": published(root / "tokenizer", "tokenizer", [entry_of(root / "tokenizer", "tokenizer.json")]),
            "tokens": _tokens(root, texts, length, row_group),
            "model": _model(root, length, options),
        }
        return Corpus(Inputs.of(inputs), tuple(texts), length)

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus: Callable[..., Corpus]) -> Corpus:
    """The usual one."""
    return make_corpus()


@pytest.fixture(scope="session", params=["bytes", "wordpiece"])
def masked_corpus(make_corpus: Callable[..., Corpus], request: pytest.FixtureRequest) -> Corpus:
    """The usual one under an encoder, with byte-level pieces and with pieces of words."""
    marked = BytePair(TokenizerOptions(specials=("[PAD]", "[CLS]", "[SEP]", "[MASK]")))
    return make_corpus(family="bert", tokenizer=WordPiece() if request.param == "wordpiece" else marked)


@pytest.fixture
def make_stage_job(tmp_path: Path, job_in: Callable[..., Job]) -> Callable[..., Job]:
    """make_stage_job("evaluate", "scores", corpus, params) → a Job whose folders exist."""

    def make(
        stage: str, kind: ArtifactKind, corpus: Corpus, params: dict[str, Any], *, name: str = "a", **fields: Any
    ) -> Job:
        return job_in(tmp_path / name, corpus.inputs, stage=stage, kind=kind, params=params, **fields)

    return make


def published(folder: Path, kind: ArtifactKind, files: list[FileEntry], **inputs: str) -> Artifact:
    digest = digest_of(files)
    manifest = Manifest(kind, 1, digest, kind, {}, inputs, tuple(files), {}, digest, content_digest_of(files))
    write_json(folder / NAME, manifest.to_dict())  # processes open the artifact by its folder
    return Artifact(folder, manifest)


def _id(at: int, text: str) -> str:
    return document_id("made", "made.jsonl", at, str(len(text)))


def _documents(folder: Path, texts: list[tuple[str, str | None]]) -> Artifact:
    rows = [
        {"id": _id(at, text), "text": text, "source": "made", "language": language, "metadata": []}
        for at, (text, language) in enumerate(texts)
    ]
    with ShardWriter(folder, "parts", "a", DOCUMENTS) as shard:
        shard.write(pa.Table.from_pylist(rows, schema=DOCUMENTS))
    assert shard.entry is not None
    return published(folder, "documents", number(LocalDraft(folder), [shard.entry]))


def _tokens(root: Path, texts: list[tuple[str, str | None]], length: int, row_group: int) -> Artifact:
    """Two files of rows, several row groups each, as the pack stage cuts them."""
    reference = load(root / "tokenizer" / "tokenizer.json")
    column = pa.array([text for text, _ in texts], pa.large_string())
    ended: Encoded = with_end_of_text(reference.encode(column), reference.end_of_text, np.dtype(np.uint16))
    ids = pa.array([_id(at, text) for at, (text, _) in enumerate(texts)])
    schema = tokens_schema(reference.vocabulary)
    rows: pa.Table = to_table(TokenSpan(ended.ids, ids, ended.offsets[:-1]), length, schema)
    half, entries = len(rows) // 2, list[FileEntry]()
    for name, part in (("a", rows.slice(0, half)), ("b", rows.slice(half))):
        with ShardWriter(root / "tokens", "validation", name, schema) as shard:
            for at in range(0, len(part), row_group):
                shard.write(part.slice(at, row_group))
        entries += [shard.entry] if shard.entry else []
    one = {"documents": len(texts), "tokens": len(ended.ids), "bytes": sum(len(text.encode()) for text, _ in texts)}
    splits = {"validation": {**one, "rows": len(rows), "languages": {"en": one, "unknown": one, "zh": one}}}
    write_json(root / "tokens" / "splits.json", splits)
    files = [*number(LocalDraft(root / "tokens"), entries), entry_of(root / "tokens", "splits.json")]
    return published(root / "tokens", "tokens", files)


def _model(root: Path, length: int, options: dict[str, Any]) -> Artifact:
    torch.manual_seed(5)
    family = options.pop("family", "gpt")
    small = {"layers": 2, "width": 32, **({"heads": 4} if family in ("gpt", "bert") else {}), **options}
    length += 2 if family == "bert" else 0  # its marks
    model = build(family, small, vocabulary=load(root / "tokenizer" / "tokenizer.json").vocabulary, context=length)
    for parameter in model.parameters():  # far from the start's near-uniform guesses, biases and norms too
        torch.nn.init.normal_(parameter, 0.3 if parameter.dim() == 1 else 0.0, 0.2)
    save(model, root / "model" / "model")
    files = [entry_of(root / "model", f"model/{name}") for name in ("config.json", "model.safetensors")]
    return published(root / "model", "model", files)
