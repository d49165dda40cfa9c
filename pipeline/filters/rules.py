"""Rules applied to a batch: who goes, by which rule first, with which value; who failed what; which rule was skipped.

A document is judged by its language's thresholds if its text is written as that language is, by words or by characters;
a tag that the text contradicts (a list of URLs said to be Chinese, a Chinese page said to be English) is not believed:
`resolve` takes what the script says instead. A rule without a limit for the language is skipped. About 5 GB of text a
CPU-second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.base import Floats, Rule
from pipeline.filters.limits import CHARACTERS, WORDS, limit_key
from pipeline.kernels import column
from pipeline.text.language import canonical, fallbacks, is_counted_by_character

Ints = npt.NDArray[np.int64]

# Chinese pages with code and formulas keep 0.34 of their units (0.1 % of them less); an English page quotes a few
CHARACTER_SHARE = 0.2
FUNCTION_WORDS = "function_words"
KEPT = -1


@dataclass(frozen=True)
class RuleResults:
    """`first[d]`: the number of the first rule that document d fails, KEPT for none; its value and threshold.

    `failed`: documents that failed each rule, first or not. `skipped`: by rule and language, documents that a rule
    could not judge: no threshold or no list for the language.
    """

    first: Ints
    value: Floats
    threshold: Floats
    failed: Counter[str]
    skipped: dict[str, Counter[str]]


def resolve_languages(
    languages: Sequence[str | None], signals: Mapping[str, Floats], texts: pa.ChunkedArray
) -> tuple[list[str | None], dict[str, Floats]]:
    """Languages and signals with what a text contradicts set right: the tag by its script, and no function words.

    What is said to be Chinese and has no letters but Latin ones is judged as English: in Chinese corpora these are
    English pages, lists of addresses and of numbers, on which both languages' limits were found (README).
    """
    believed, values = list(languages), dict(signals)
    by_characters = (signals["own_units"] >= CHARACTER_SHARE).tolist()
    wrong = [at for at, tag in enumerate(believed) if is_counted_by_character(tag) is not by_characters[at]]
    if not wrong:
        return believed, values
    scripts = column.languages(texts.take(pa.array(wrong)).combine_chunks()).to_pylist()
    for at, script in zip(wrong, scripts, strict=True):
        chinese = "zh" in fallbacks(believed[at])
        believed[at] = "en" if chinese and script in (None, "und-Latn") else script
    if FUNCTION_WORDS in values:  # counted by the list of the language that it is not
        values[FUNCTION_WORDS] = values[FUNCTION_WORDS].copy()
        values[FUNCTION_WORDS][wrong] = np.nan
    return believed, values


def apply_rules(rules: Sequence[Rule], signals: Mapping[str, Floats], languages: Sequence[str | None]) -> RuleResults:
    """Judge every document of a batch; `signals` are its columns, `languages` its tags."""
    groups, group_of = group(languages, signals["own_units"])
    documents = len(group_of)
    first = np.full(documents, KEPT)
    value, threshold = np.full(documents, np.nan), np.full(documents, np.nan)
    failed: Counter[str] = Counter()
    skipped: dict[str, Counter[str]] = {}
    for number, rule in enumerate(rules):
        if all(limit is None for limit in rule.limits.values()):
            continue  # switched off
        keys = [limit_key(rule.limits, *group) for group in groups]
        limits = np.array([_number(rule.limits, key) for key in keys], np.float64)[group_of]
        measured = signals[rule.signal]
        # comparisons with NaN are false: neither a missing limit nor a missing value drops anything
        fails = measured < limits if rule.side == "min" else measured > limits
        failed[rule.name] += int(fails.sum())
        lacking = np.array([key is None for key in keys], bool)[group_of] | (np.isnan(measured) & ~np.isnan(limits))
        _count_skipped(skipped, rule, groups, group_of[lacking])
        new = fails & (first == KEPT)
        first[new], value[new], threshold[new] = number, measured[new], limits[new]
    return RuleResults(first, value, threshold, +failed, skipped)


def group(languages: Sequence[str | None], own_units: Floats) -> tuple[list[tuple[str | None, str]], Ints]:
    """Documents by (believed language or None, WORDS or CHARACTERS): the groups, and which one each document is in."""
    known: dict[tuple[str | None, bool], tuple[str | None, str]] = {}
    numbers: dict[tuple[str | None, str], int] = {}
    group_of = np.empty(len(own_units), np.int64)
    for at, key in enumerate(zip(languages, (own_units >= CHARACTER_SHARE).tolist(), strict=True)):
        if key not in known:
            tag, characters = key
            believed = canonical(tag) if is_counted_by_character(tag) == characters else None
            known[key] = (believed, CHARACTERS if characters else WORDS)
        group_of[at] = numbers.setdefault(known[key], len(numbers))
    return list(numbers), group_of


def _number(limits: Mapping[str, float | None], key: str | None) -> float:
    limit = None if key is None else limits[key]
    return np.nan if limit is None else limit


def _count_skipped(
    skipped: dict[str, Counter[str]],
    rule: Rule,
    groups: Sequence[tuple[str | None, str]],
    lacking: Ints,
) -> None:
    counts = np.bincount(lacking, minlength=len(groups)).tolist()
    for (language, unit), count in zip(groups, counts, strict=True):
        if count:
            skipped.setdefault(rule.name, Counter())[language or f"any, by {unit}"] += count
