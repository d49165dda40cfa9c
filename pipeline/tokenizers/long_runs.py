"""Bounds on runs of text that no split cuts: training and WordPiece take the square of a word's length, or its cube.

A run of letters without a blank may be as long as a document: a sequence of a genome, Thai, a table of digits. BPE
merges a word of 400,000 letters for hours. `cut` gives training such a run in stretches; what it learns of them is the
same but for the pieces that would cross a cut. `split` does so in a tokenizer.json, for WordPiece, in any library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tokenizers
from tokenizers import pre_tokenizers

# characters. Words of prose are shorter in every language, and 400,000 letters cost as much as prose (0.6 CPU-seconds)
TRAINING = 256
# of a word, as in BERT, where a longer one is unknown as a whole (Devlin et al. 2019)
WORDPIECE = 100


def split(limit: int) -> pre_tokenizers.PreTokenizer:
    """Cuts a word into stretches of `limit` characters; words that are shorter stay whole. Portable: one expression."""
    return pre_tokenizers.Split(tokenizers.Regex(f".{{{limit}}}"), "isolated")


def limit_of(first: str, pre_tokenizer: Mapping[str, Any] | None) -> int | None:
    """The limit of a parsed pre_tokenizer that is `split` after one of the type `first`; None for any other."""
    parts = (pre_tokenizer or {}).get("pretokenizers", [])
    if len(parts) != 2 or parts[0]["type"] != first or parts[1]["type"] != "Split":
        return None
    limit = re.fullmatch(r"\.\{(\d+)\}", parts[1]["pattern"].get("Regex", ""))
    return int(limit[1]) if limit and parts[1]["behavior"] == "Isolated" and not parts[1]["invert"] else None


def cut(texts: Iterable[str], splitter: pre_tokenizers.PreTokenizer, limit: int = TRAINING) -> Iterator[str]:
    """The texts, in parts where they hold a run of more than `limit` characters that `splitter` leaves whole."""
    for text in texts:
        if _may_hold(text, limit):
            yield from _parts(text, splitter, limit)
        else:
            yield text


def _may_hold(text: str, limit: int) -> bool:
    """Whether more than `limit` characters stand together without white space, or as white space."""
    if len(text) <= limit:
        return False
    words = text.split()
    if max(map(len, words), default=0) > limit:
        return True
    blanks = len(text) - sum(map(len, words))
    return blanks - len(words) >= limit and re.search(rf"\s{{{limit + 1}}}", text) is not None


def _parts(text: str, splitter: pre_tokenizers.PreTokenizer, limit: int) -> Iterator[str]:
    begin = 0
    for _, (start, end) in splitter.pre_tokenize_str(text):
        for at in range(start + limit, end, limit):
            yield text[begin:at]
            begin = at
    yield text[begin:]
