"""The kind `file`: an existing tokenizer.json, for training that continues from a saved model."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.errors import UserError
from pipeline.tokenizers import reference_encoder, tokenizer_file
from pipeline.tokenizers.base import TokenizerTrainer


class ExistingTokenizer(TokenizerTrainer):
    """Learns nothing: returns the tokenizer at `options.path` (`tokenizer_file` adds its end of text where needed)."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        if self.options.path is None:
            raise UserError("tokenizer.path: is missing. Write the path of a folder or of a tokenizer.json.")
        file = tokenizer_file.read(self.options.path)
        reference_encoder.load(file.path)  # raises UserError if the library cannot read the file
        return file.json_text
