"""Word vectors as training leaves them: a saved model, and the tokenizer.json of whole words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from pipeline.tokenizers.base import END_OF_TEXT
from training.evaluation.base import Subject
from training.evaluation.held_out import HeldOut
from training.models.base import build
from training.models.saved import save

SPECIAL = (END_OF_TEXT, "<unk>", "</s>")


@dataclass(frozen=True)
class Learned:
    """`words[i]` has `vectors[i]` and was seen `counts[i]` times, whatever its id."""

    folder: Path
    tokenizer: Path
    words: tuple[str, ...]
    vectors: np.ndarray[Any, np.dtype[np.float32]]
    counts: tuple[int, ...]

    def subject(self, **held_out: Any) -> Subject:
        paths = {"row_files": (), "document_files": (), "tokenizer": self.tokenizer, **held_out}
        return Subject(self.folder, HeldOut(**paths), torch.device("cpu"))


@pytest.fixture
def learn(tmp_path: Path) -> Callable[..., Learned]:
    """learn(words, width=16, counts=None, lowercase=False, family="word2vec") → vectors drawn from a seed."""

    def make(
        words: Sequence[str], *, width: int = 16, counts: Sequence[int] | None = None, lowercase: bool = False,
        family: str = "word2vec",
    ) -> Learned:  # fmt: skip
        folder = tmp_path / f"learned-{family}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_tokenizer(folder / "tokenizer.json", words, lowercase=lowercase)
        counted = list(counts) if counts is not None else [1000 - at // 2 for at in range(len(words))]
        torch.manual_seed(len(words))
        model: Any = build(family, {"width": width}, vocabulary=len(words) + len(SPECIAL), context=32)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        model.counts[len(SPECIAL) :] = torch.tensor(counted)
        save(model, folder)
        vectors = model.vectors()[len(SPECIAL) :].numpy()
        return Learned(folder, folder / "tokenizer.json", tuple(words), vectors, tuple(counted))

    return make


def write_tokenizer(path: Path, words: Sequence[str], *, lowercase: bool = False) -> None:
    """Whole words, split at white space, as the tokenizer stage writes them for kind: word."""
    vocabulary = {word: at for at, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(path))
