"""What ends a text is what the tokenizer says, whatever its token is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.objectives import special_tokens
from training.objectives.sentences import TextTemplate

PIECES = {"[CLS]": 0, "[SEP]": 1, "[MASK]": 2, "<eos>": 3, "the": 4, "河": 5}


@pytest.mark.parametrize("special", [True, False])
def test_a_token_of_another_name_that_ends_a_text_is_known_to_objectives(tmp_path: Path, special: bool) -> None:
    added = [{"id": at, "content": name, "special": at < 3 or special} for name, at in list(PIECES.items())[:4]]
    tree = {"model": {"type": "WordPiece", "vocab": PIECES, "end_of_text": "<eos>"}, "added_tokens": added}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    special = special_tokens.read(path)
    assert (special.end, special.end_of_text) == (1, 3) and special.special.tolist() == [0, 1, 2, 3]
    assert TextTemplate.read(path) == TextTemplate((0, 1), 3)
