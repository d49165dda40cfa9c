"""How text becomes ids. `tokenizers` (Hugging Face) is imported in this folder and nowhere else."""

from pipeline.core.registry import Registry

TOKENIZERS = Registry(
    "tokenizer",
    {
        "bpe": "pipeline.tokenizers.subword:BytePair",
        "wordpiece": "pipeline.tokenizers.wordpiece:WordPiece",
        "word": "pipeline.tokenizers.word:Word",
        "file": "pipeline.tokenizers.existing:Existing",
    },
)
