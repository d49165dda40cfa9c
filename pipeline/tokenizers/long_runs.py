"""Limits the length of words: the time of training and of WordPiece grows with the square or cube of a word's length.

A run of letters without a blank may be as long as a document: a genome sequence, Thai, a table of digits. Training BPE
on a word of 400,000 letters takes hours. `cut` passes such a run to training in parts; only tokens that would cross a
cut are not learned. `split` does the same inside a tokenizer.json, for WordPiece, so it works in any library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import tokenizers
from tokenizers import pre_tokenizers

from pipeline.tokenizers.tokenizer_json import TokenizerJson

# words of prose are shorter in every language; 400,000 letters then cost as much as prose (0.6 CPU-seconds)
TRAINING_CHARACTERS = 256
# as in BERT, where a longer word becomes one unknown token (Devlin et al. 2019)
WORDPIECE_CHARACTERS = 100
# some of the signs that no splitter leaves inside a run of letters or digits: without them Chinese is one long run
_SEPARATORS = re.compile(r"[\s,.;:!?\"'()，。；：！？、（）《》「」“”]+")
_SYMBOLS = re.compile(r"(?:[^\w\s]|_)+")


def split(limit: int) -> pre_tokenizers.PreTokenizer:
    """A pre-tokenizer that cuts words after every `limit` characters. Portable: one regular expression."""
    return pre_tokenizers.Split(tokenizers.Regex(f".{{{limit}}}"), "isolated")


def limit_of(first: str, pre_tokenizer: TokenizerJson | None) -> int | None:
    """The limit of a parsed pre_tokenizer that is `first` followed by `split`; None for any other."""
    parts = (pre_tokenizer or {}).get("pretokenizers", [])
    if len(parts) != 2 or parts[0]["type"] != first or parts[1]["type"] != "Split":
        return None
    limit = re.fullmatch(r"\.\{(\d+)\}", parts[1]["pattern"].get("Regex", ""))
    return int(limit[1]) if limit and parts[1]["behavior"] == "Isolated" and not parts[1]["invert"] else None


def cut(texts: Iterable[str], splitter: pre_tokenizers.PreTokenizer, limit: int = TRAINING_CHARACTERS) -> Iterator[str]:
    """The texts, cut where `splitter` leaves a run of more than `limit` characters."""
    for text in texts:
        if _may_have_long_run(text, limit):
            yield from _parts(text, splitter, limit)
        else:
            yield text


def _may_have_long_run(text: str, limit: int) -> bool:
    """Whether more than `limit` characters follow each other without white space, or all as white space."""
    if len(text) <= limit:
        return False
    words = text.split()
    if max(map(len, words), default=0) > limit:
        # splitting a whole document costs ten times these two passes, and nearly no Chinese document needs it
        if max(map(len, _SEPARATORS.split(text))) > limit:
            return True
        if any(symbols.end() - symbols.start() > limit for symbols in _SYMBOLS.finditer(text)):
            return True
    blanks = len(text) - sum(map(len, words))
    return blanks - len(words) >= limit and re.search(rf"\s{{{limit + 1}}}", text) is not None


def _parts(text: str, splitter: pre_tokenizers.PreTokenizer, limit: int) -> Iterator[str]:
    begin = 0
    for _, (start, end) in splitter.pre_tokenize_str(text):
        for position in range(start + limit, end, limit):
            yield text[begin:position]
            begin = position
    yield text[begin:]
