"""A tokenizer of bytes with the marks of an encoder, and rows of English and Chinese under it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.tokenizers.base import TokenizerOptions
from pipeline.tokenizers.bpe import BytePair
from pipeline.tokenizers.reference_encoder import ReferenceEncoder, load
from pipeline.tokenizers.wordpiece import WordPiece

ENGLISH = [
    "The quiet river carries a letter past the old station. Nobody in the village has opened it yet! Why not?",
    "Unbelievably, the stationmaster's daughter doesn't remember. She remembers everything else, though. It rained.",
]
CHINESE = [
    "安静的河流带着一封信经过古老的车站。村子里还没有人打开它！今天天气很好，我们去图书馆看书。",
    "北京大学的学生在图书馆里学习语言模型。他们每天都来。老师也来。",
]
MARKS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tokenizer.json of 420 pieces of bytes, the marks among them."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    trained = BytePair(TokenizerOptions(specials=MARKS)).train([*ENGLISH, *CHINESE] * 3, 420)
    path.write_text(trained, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tokenizer.json of 260 pieces of words."""
    path = tmp_path_factory.mktemp("wordpiece") / "tokenizer.json"
    path.write_text(WordPiece().train([*ENGLISH, *CHINESE] * 3, 260), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def reference(tokenizer: Path) -> ReferenceEncoder:
    return load(tokenizer)


@pytest.fixture(scope="session")
def rows(reference: ReferenceEncoder) -> NDArray[np.int64]:
    """12 rows of 64 tokens: documents of both languages one after the other, cut wherever a row ends."""
    stream: list[int] = []
    while len(stream) < 12 * 64:
        for text in (*ENGLISH, *CHINESE):
            stream += [*reference.encode_text(text), reference.end_of_text]
    return np.array(stream[: 12 * 64], np.int64).reshape(12, 64)
