"""Byte-level BPE, trained by Hugging Face `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from pipeline.tokenizers import long_runs
from pipeline.tokenizers.base import TokenizerTrainer
from pipeline.tokenizers.special_tokens import BUILT_IN_SPECIALS


class BytePair(TokenizerTrainer):
    """BPE over bytes, split by the expression of GPT-2 (Radford et al. 2019): it can encode any text.

    Special tokens: `<|endoftext|>`, then those of the options (fill-in-the-middle, [MASK] …).
    """

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[*BUILT_IN_SPECIALS["bpe"], *self.options.specials],
            # all 256 bytes, including those that the sample lacks; the trainer sorts them
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(long_runs.cut(texts, tokenizer.pre_tokenizer), trainer)
        return str(tokenizer.to_str())
