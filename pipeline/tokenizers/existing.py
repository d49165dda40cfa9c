"""The kind `file`: a tokenizer.json as it is, for training that goes on from a saved model."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.errors import UserError
from pipeline.tokenizers import reference_encoder, tokenizer_file
from pipeline.tokenizers.base import TokenizerTrainer


class ExistingTokenizer(TokenizerTrainer):
    """Learns nothing: what lies at the options' `path`, with what ends a text said in it (`tokenizer_file`)."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        if self.options.path is None:
            raise UserError("tokenizer.path: is missing. Write the folder or the tokenizer.json to be taken.")
        found = tokenizer_file.read(self.options.path)
        reference_encoder.load(found.path)  # says so if the library cannot read it
        return found.json_text
