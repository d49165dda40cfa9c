"""How a tokenizer folds text before it looks pieces up: the normalizer of a tokenizer.json, and nothing else of it.

For words that come alone (the questions of an evaluation): encoding would part what is one word in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tokenizers


def load_normalizer(path: Path) -> Callable[[str], str]:
    """The normalizer of a tokenizer.json as a function; text as it is where there is none."""
    normalizer = tokenizers.Tokenizer.from_file(str(path)).normalizer
    if normalizer is None:
        return str

    def fold(text: str) -> str:
        return str(normalizer.normalize_str(text))

    return fold
