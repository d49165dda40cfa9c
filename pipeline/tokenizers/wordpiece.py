"""The kind `wordpiece`: BERT's pieces of words (Devlin et al. 2019; Schuster and Nakajima 2012), cased by default.

BERT's normalizer and split, as the library has them: every Han character stands alone, marks too. The library numbers
characters in an order that differs from process to process, and by it settles which pair is merged first; so every
character of the sample, alone and inside a word, is handed to it as a special token, sorted, and stripped of that flag
afterwards. A word of more than 100 characters, which BERT takes for unknown as a whole, is cut after every hundredth:
what follows a cut is a word of its own. So text without blanks (Thai, Khmer, long names) is spelled by its pieces, and
the search for the longest piece stays linear in the length of a run. About 1 MB a CPU-second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from pipeline.tokenizers import long_runs
from pipeline.tokenizers.base import TokenizerTrainer
from pipeline.tokenizers.special_tokens import BERT_SPECIALS, BUILT_IN_SPECIALS, CONTINUATION

# of the vocabulary that single characters may take; the rarest go first. Some 8,000 characters write 16 MB of Chinese.
CHARACTERS = 0.5
BATCH_CHARACTERS = 1 << 22


class WordPiece(TokenizerTrainer):
    """Pieces of words, `##` before one inside a word. Ids 0 to 5: `<|endoftext|> [PAD] [UNK] [CLS] [SEP] [MASK]`."""

    def train(self, texts: Iterable[str], vocabulary: int) -> str:
        sample, special = list(texts), [*BUILT_IN_SPECIALS["wordpiece"], *self.options.specials]
        tokenizer = _bare(lowercase=bool(self.options.lowercase))
        found = _alphabet(tokenizer, sample)
        kept = found.most_frequent(min(int(CHARACTERS * vocabulary), vocabulary - len(special)))
        trainer = trainers.WordPieceTrainer(
            # those that are stripped afterwards leave room for others
            vocab_size=vocabulary + len(found.pieces) - len(kept),
            special_tokens=[*special, *found.pieces],
            continuing_subword_prefix=CONTINUATION,
            show_progress=False,
        )
        tokenizer.train_from_iterator(long_runs.cut(sample, tokenizer.pre_tokenizer), trainer)
        return _stripped(tokenizer, special, {*found.pieces} - {*kept})


@dataclass(frozen=True)
class Alphabet:
    """Single characters, sorted, those inside a word with `##` before them; how often each occurs."""

    pieces: list[str]
    counts: list[int]

    def most_frequent(self, number: int) -> list[str]:
        """At most `number` of them."""
        order = sorted(range(len(self.pieces)), key=lambda at: (-self.counts[at], self.pieces[at]))
        return [self.pieces[at] for at in order[: max(0, number)]]


def _bare(*, lowercase: bool) -> tokenizers.Tokenizer:
    """All but the vocabulary, and the template, which needs ids."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token=BERT_SPECIALS[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    return tokenizer


def _alphabet(tokenizer: tokenizers.Tokenizer, sample: Sequence[str]) -> Alphabet:
    """Every character that begins a word of the sample or stands inside one, as the library parts words."""
    alone, inside = np.zeros(0x110000, np.int64), np.zeros(0x110000, np.int64)
    joins = np.full(0x110000, -1, np.int8)
    for text in _batches(sample):
        points = np.frombuffer(tokenizer.normalizer.normalize_str(text).encode("utf-32-le"), np.uint32)
        for point in np.unique(points[joins[points] < 0]).tolist():
            joins[point] = _joins(tokenizer, chr(point))
        kinds = joins[points]
        goes_on = np.zeros(len(points), np.bool_)
        goes_on[1:] = (kinds[1:] == JOINED) & (kinds[:-1] == JOINED)
        goes_on &= _place_in_word(goes_on) % long_runs.WORDPIECE != 0
        inside += np.bincount(points[goes_on], minlength=len(inside))
        alone += np.bincount(points[~goes_on & (kinds != DROPPED)], minlength=len(alone))
    return _listed(alone, inside)


def _place_in_word(goes_on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many characters of its word stand before each."""
    places = np.arange(len(goes_on))
    return places - np.maximum.accumulate(np.where(goes_on, 0, places))


def _listed(alone: NDArray[np.int64], inside: NDArray[np.int64]) -> Alphabet:
    # what stands inside words alone is listed too, as the library does: some other text may begin a word with it
    counted = {chr(point): int(alone[point]) for point in np.flatnonzero(alone + inside).tolist()}
    counted |= {CONTINUATION + chr(point): int(inside[point]) for point in np.flatnonzero(inside).tolist()}
    pieces = sorted(counted)
    return Alphabet(pieces, [counted[piece] for piece in pieces])


DROPPED, JOINED, APART = range(3)  # white space; letters and digits; marks and Han characters


def _joins(tokenizer: tokenizers.Tokenizer, character: str) -> int:
    """What the library does with a character between two letters."""
    parts = [part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(f"a{character}a")]
    return {1: JOINED, 2: DROPPED, 3: APART}[len(parts)]


def _batches(sample: Sequence[str]) -> Iterator[str]:
    """The sample in strings of some size, a line break between texts: what begins a text begins a word."""
    batch: list[str] = []
    size = 0
    for text in sample:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield "\n".join(batch)
            batch, size = [], 0
    yield "\n".join(batch)


def _stripped(tokenizer: tokenizers.Tokenizer, special: Sequence[str], dropped: set[str]) -> str:
    """tokenizer.json with its true special tokens alone, without the characters that found no room, ids closed up."""
    tree: dict[str, Any] = json.loads(tokenizer.to_str())
    learned: dict[str, int] = tree["model"]["vocab"]
    pieces = [piece for piece in sorted(learned, key=learned.__getitem__) if piece not in dropped]
    tree["model"]["vocab"] = {piece: at for at, piece in enumerate(pieces)}
    tree["added_tokens"] = [token for token in tree["added_tokens"] if token["content"] in special]
    made = tokenizers.Tokenizer.from_str(json.dumps(tree, ensure_ascii=False))
    one, two = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
    marks = [(name, pieces.index(name)) for name in ("[CLS]", "[SEP]")]
    made.pre_tokenizer = pre_tokenizers.Sequence([made.pre_tokenizer, long_runs.split(long_runs.WORDPIECE)])
    made.post_processor = processors.TemplateProcessing(single=one, pair=two, special_tokens=marks)
    return str(made.to_str())
