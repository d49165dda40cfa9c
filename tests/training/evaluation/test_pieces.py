"""Tokens as bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.tokenizers import adversarial, pieces, subword


def test_the_pieces_of_a_text_spell_its_bytes(corpus: Any) -> None:
    path = corpus.inputs["tokenizer"].path / "tokenizer.json"
    found, reference = pieces.read(path), subword.load(path)
    for text in [*adversarial.PLAIN, "今天天气很好。", "Once upon a time"]:
        assert found.text(reference.encode_text(text)) == text.encode()


def test_a_tokenizer_whose_tokens_are_not_bytes_is_refused(corpus: Any, tmp_path: Path) -> None:
    tokenizer = json.loads((corpus.inputs["tokenizer"].path / "tokenizer.json").read_text(encoding="utf-8"))
    for change in ({"decoder": {"type": "WordPiece"}}, {"decoder": None}, {"added_tokens": []}):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**tokenizer, **change}), encoding="utf-8")
        with pytest.raises(UserError, match="tokenizer.json"):
            pieces.read(tmp_path / "tokenizer.json")
