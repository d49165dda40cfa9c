"""How text becomes ids. `tokenizers` (Hugging Face) is imported in this folder and nowhere else."""

from pipeline.core.registry import Registry

TOKENIZERS = Registry("tokenizer", {"bpe": "pipeline.tokenizers.subword:BytePair"})
