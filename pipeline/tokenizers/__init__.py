"""How text becomes ids. `tokenizers` (Hugging Face) is imported in this folder and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.tokenizers.base import TokenizerTrainer

_OPTIONS, _CODE = "pipeline.tokenizers.section:Tokenizer", "pipeline.tokenizers"

TOKENIZERS: Registry[TokenizerTrainer] = Registry(
    "tokenizer",
    (
        Entry("bpe", _OPTIONS, f"{_CODE}.bpe:BytePair"),
        Entry("wordpiece", _OPTIONS, f"{_CODE}.wordpiece:WordPiece"),
        Entry("word", _OPTIONS, f"{_CODE}.word_level:WordLevel"),
        Entry("file", _OPTIONS, f"{_CODE}.existing:ExistingTokenizer"),
    ),
    base="pipeline.tokenizers.base:TokenizerTrainer",
    options=_OPTIONS,
)
