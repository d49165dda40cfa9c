"""The normalizer of a tokenizer.json as a function: how a tokenizer changes text before it looks tokens up.

For single words (the questions of an evaluation), where encoding would split what is one word of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tokenizers


def load_normalizer(path: Path) -> Callable[[str], str]:
    """The normalizer of a tokenizer.json; without one the function returns its text unchanged."""
    normalizer = tokenizers.Tokenizer.from_file(str(path)).normalizer
    if normalizer is None:
        return str

    def normalize(text: str) -> str:
        return str(normalizer.normalize_str(text))

    return normalize
