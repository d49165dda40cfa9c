"""The counts of published filters against plain Python, on text that ends, repeats and breaks at any place."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import published, raw_lines
from pipeline.kernels.c4_lines import PHRASES, LineRules
from pipeline.text.words import FUNCTION_WORDS

EVERYTHING = published.REPEATS | published.C4 | published.TOKENS | published.MENUS
RULES = LineRules(True, True, True, 3, False)  # datatrove's
PIECES = [
    "a", "word", "Word", " ", "  ", "\n", "\n\n", "\r\n", "\x0b", "\x85", "\u2028", "\u3000", "#", ".", "..", "...",
    "…", "[1]", "]", "[edit", "{", "?", "é", "中文", "—", "😀", "x" * 63, "y" * 64,
    *PHRASES, *(p.title() for p in PHRASES),
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
REPETITIVE = st.lists(st.sampled_from(["a", "bb", "ccc", "a bb ccc a bb", "dddd eeee"]), max_size=60).map(" ".join)
LONG_WORDS = st.text("qxzQXZ", min_size=2, max_size=70)  # no contractions, no units
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


def counts_of(*texts: str) -> np.ndarray:
    return published.measure(pa.array(texts, pa.large_string()), EVERYTHING, RULES)


def judge(line: str) -> str | None:
    """The verdict of datatrove's rules for a line that may say what damns a page."""
    line = line.strip()
    words = line.split()
    if any(len(word) > 1000 for word in words):
        return None
    while CITATION.search(line):
        line = CITATION.sub("", line)
    lower = "".join(c.lower() if c.isascii() else c for c in line)
    if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...") or len(words) < 3:
        return None
    if "lorem ipsum" in lower:
        return "lorem ipsum"
    return "bracket" if "javascript" not in lower and "{" in lower else None


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(0, 70))
def test_lines_and_signs_are_counted_as_python_counts_them(text: str, shift: int) -> None:
    text = "-" * shift + text
    # the text alone, at the end of its column, and before another
    for counts in (counts_of(text)[0], counts_of("first", text)[1], counts_of(text, "é" * 80)[0]):
        assert counts[raw_lines.CHARACTERS] == len(text)
        assert counts[raw_lines.FEEDS] == text.count("\n")
        assert counts[raw_lines.BREAKS] == len(text.splitlines())
        assert counts[raw_lines.FILLED] == sum(bool(line.strip()) for line in text.split("\n"))
        assert counts[published.HASH_SIGNS] == text.count("#")
        assert counts[published.DOTS] == text.count("...") + text.count("…")
        verdicts = Counter(map(judge, text.splitlines()))
        assert counts[published.LOREM_LINES] == verdicts["lorem ipsum"]
        assert counts[published.BRACKET_LINES] == verdicts["bracket"]


@settings(max_examples=200, deadline=None)
@given(REPETITIVE)
def test_repeated_tokens_are_counted_by_datatrove_s_scan(text: str) -> None:
    tokens, counts = text.split(), counts_of(text)[0]
    for n in range(2, 11):
        grams = [tokens[at : at + n] for at in range(len(tokens) - n + 1)]
        expected = top(grams) if n <= 4 else scan(grams, n)
        assert counts[published.REPEAT_COUNTS + n] == expected, n


@settings(max_examples=200, deadline=None)
@given(st.lists(LONG_WORDS, min_size=2, max_size=2), st.text("z9é", max_size=9), st.integers(0, 70))
def test_a_word_is_the_same_token_by_letters_and_by_code_points(words: list[str], after: str, shift: int) -> None:
    # the quotation marks send the second pair, word by word, past the path for words of letters
    text = " " * shift + f'{" ".join(words)} "{words[0]} {words[1]}"'
    counts = counts_of(text, after)[0]
    assert counts_of(words[0], after)[0, published.WORD_CHARACTERS] == len(words[0])
    assert counts[published.TOKEN_COUNT] == 6
    assert counts[published.LETTER_TOKENS] == counts[published.WORDS] == 4
    assert counts[published.WORD_CHARACTERS] == 2 * len("".join(words))
    if words[0] != words[1]:
        assert counts[published.REPEAT_COUNTS + 2] == 2 * len(" ".join(words))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*FUNCTION_WORDS["en"], "The", "then", "o", "thee", "\0", "with-that"]), max_size=12))
def test_distinct_stop_words_are_counted(words: list[str]) -> None:
    expected = set(" ".join(words).replace("-", " ").split(" ")) & set(FUNCTION_WORDS["en"])
    assert counts_of(" ".join(words))[0][published.STOP_WORDS] == len(expected)


def top(grams: list[list[str]]) -> int:
    """Characters of the most frequent n-gram, the first among equals, all its occurrences."""
    ranked = Counter(" ".join(gram) for gram in grams).most_common(1)
    return len(ranked[0][0]) * ranked[0][1] if ranked else 0


def scan(grams: list[list[str]], n: int) -> int:
    recorded, total, at = set(), 0, 0
    while at < len(grams):
        gram = "".join(grams[at])
        if gram in recorded:
            total, at = total + len(gram), at + n
        else:
            recorded.add(gram)
            at += 1
    return total
