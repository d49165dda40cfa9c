"""The kind `wordpiece`: the WordPiece of BERT (Devlin et al. 2019; Schuster and Nakajima 2012), cased by default.

It uses the library's normalizer and split for BERT: each Han character and each punctuation mark is a word. The library
numbers characters in an order that differs between processes, and this order decides ties between merges. Therefore
every character of the sample, alone and inside a word, is passed to it as a special token, in sorted order, and the
flag is removed afterwards. A word of more than 100 characters, which would be unknown in BERT, is cut after every
hundredth; each part is a word. Text without blanks (Thai, Khmer, long names) can thus be encoded, and the search for
the longest token stays linear in the length of a run. About 1 MB a CPU-second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from pipeline.tokenizers import long_runs
from pipeline.tokenizers.base import TokenizerTrainer
from pipeline.tokenizers.special_tokens import BERT_SPECIALS, BUILT_IN_SPECIALS, CONTINUATION
from pipeline.tokenizers.tokenizer_json import TokenizerJson

# the largest share of the vocabulary for single characters; 16 MB of Chinese have about 8,000 different ones
CHARACTER_SHARE = 0.5
BATCH_CHARACTERS = 1 << 22
CODE_POINTS = 0x110000


class WordPiece(TokenizerTrainer):
    """Tokens that are parts of words, prefixed by `##` inside a word. Ids 0 to 5: `<|endoftext|> [PAD] [UNK] [CLS]
    [SEP] [MASK]`."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        sample = list(texts)
        specials = [*BUILT_IN_SPECIALS["wordpiece"], *self.options.specials]
        tokenizer = _untrained(lowercase=bool(self.options.lowercase))
        alphabet = _alphabet(tokenizer, sample)
        kept = alphabet.most_frequent(min(int(CHARACTER_SHARE * vocabulary), vocabulary - len(specials)))
        trainer = trainers.WordPieceTrainer(
            # the characters that are removed afterwards do not count
            vocab_size=vocabulary + len(alphabet.tokens) - len(kept),
            special_tokens=[*specials, *alphabet.tokens],
            continuing_subword_prefix=CONTINUATION,
            show_progress=False,
        )
        tokenizer.train_from_iterator(long_runs.cut(sample, tokenizer.pre_tokenizer), trainer)
        return _finish(tokenizer, specials, {*alphabet.tokens} - {*kept})


@dataclass(frozen=True)
class Alphabet:
    """Tokens of one character, sorted, with `##` before those inside a word, and how often each occurs."""

    tokens: list[str]
    counts: list[int]

    def most_frequent(self, number: int) -> list[str]:
        """At most `number` of them."""
        order = sorted(range(len(self.tokens)), key=lambda index: (-self.counts[index], self.tokens[index]))
        return [self.tokens[index] for index in order[: max(0, number)]]


def _untrained(*, lowercase: bool) -> tokenizers.Tokenizer:
    """The tokenizer without a vocabulary, and without the template, which needs ids."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token=BERT_SPECIALS[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    return tokenizer


def _alphabet(tokenizer: tokenizers.Tokenizer, sample: Sequence[str]) -> Alphabet:
    """Every character that begins a word of the sample or continues one, as the library splits words."""
    begins = np.zeros(CODE_POINTS, np.int64)
    continues = np.zeros(CODE_POINTS, np.int64)
    classes = np.full(CODE_POINTS, -1, np.int8)
    for text in _batches(sample):
        points = np.frombuffer(tokenizer.normalizer.normalize_str(text).encode("utf-32-le"), np.uint32)
        for point in np.unique(points[classes[points] < 0]).tolist():
            classes[point] = _character_class(tokenizer, chr(point))
        point_classes = classes[points]
        is_inside = np.zeros(len(points), np.bool_)
        is_inside[1:] = (point_classes[1:] == JOINED) & (point_classes[:-1] == JOINED)
        is_inside &= _position_in_word(is_inside) % long_runs.WORDPIECE_CHARACTERS != 0
        continues += np.bincount(points[is_inside], minlength=len(continues))
        begins += np.bincount(points[~is_inside & (point_classes != DROPPED)], minlength=len(begins))
    return _alphabet_of(begins, continues)


def _position_in_word(is_inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of characters of the same word before each character."""
    positions = np.arange(len(is_inside))
    return positions - np.maximum.accumulate(np.where(is_inside, 0, positions))


def _alphabet_of(begins: NDArray[np.int64], continues: NDArray[np.int64]) -> Alphabet:
    """The alphabet from how often each code point begins and continues a word."""
    # characters that only continue words are listed as first characters too, like in the library: other texts may begin
    # a word with them
    counts = {chr(point): int(begins[point]) for point in np.flatnonzero(begins + continues).tolist()}
    counts |= {CONTINUATION + chr(point): int(continues[point]) for point in np.flatnonzero(continues).tolist()}
    tokens = sorted(counts)
    return Alphabet(tokens, [counts[token] for token in tokens])


DROPPED, JOINED, SEPARATE = range(3)  # white space; letters and digits; punctuation and Han characters


def _character_class(tokenizer: tokenizers.Tokenizer, character: str) -> int:
    """How the library treats a character between two letters."""
    parts = [part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(f"a{character}a")]
    return {1: JOINED, 2: DROPPED, 3: SEPARATE}[len(parts)]


def _batches(sample: Sequence[str]) -> Iterator[str]:
    """The sample in larger strings, with a line break between texts, so that a text begins with a new word."""
    batch: list[str] = []
    size = 0
    for text in sample:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield "\n".join(batch)
            batch, size = [], 0
    yield "\n".join(batch)


def _finish(tokenizer: tokenizers.Tokenizer, specials: Sequence[str], dropped: set[str]) -> str:
    """tokenizer.json with only the true special tokens, without the dropped characters, and with consecutive ids."""
    trained: TokenizerJson = json.loads(tokenizer.to_str())
    ids: dict[str, int] = trained["model"]["vocab"]
    tokens = [token for token in sorted(ids, key=ids.__getitem__) if token not in dropped]
    trained["model"]["vocab"] = {token: token_id for token_id, token in enumerate(tokens)}
    trained["added_tokens"] = [token for token in trained["added_tokens"] if token["content"] in specials]
    finished = tokenizers.Tokenizer.from_str(json.dumps(trained, ensure_ascii=False))
    cut_long_words = long_runs.split(long_runs.WORDPIECE_CHARACTERS)
    finished.pre_tokenizer = pre_tokenizers.Sequence([finished.pre_tokenizer, cut_long_words])
    finished.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokens.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    return str(finished.to_str())
