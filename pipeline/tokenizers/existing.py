"""The kind `file`: a tokenizer.json as it is, for training that goes on from a saved model."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.errors import UserError
from pipeline.tokenizers import local, subword
from pipeline.tokenizers.base import Kind


class Existing(Kind):
    """Learns nothing: what lies at the options' `path`, with what ends a text said in it (`local`)."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        if self.options.path is None:
            raise UserError("tokenizer.path: is missing. Write the folder or the tokenizer.json to be taken.")
        found = local.read(self.options.path)
        subword.load(found.path)  # says so if the library cannot read it
        return found.json_text
