"""Applies rules to a batch: which documents are dropped, by which rule and value; failures and skips of every rule.

The thresholds of a language apply to a document if its text is written like that language, in words or in characters.
A tag that contradicts the text (a list of URLs tagged as Chinese, a Chinese page tagged as English) is not used:
`resolve_languages` replaces it by what the script indicates. A rule without a limit for the language is skipped. About
5 GB of text a CPU-second.
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
from pipeline.text import unicode
from pipeline.text.language import canonical, count_scripts, detect_by_script, fallbacks, is_counted_by_character

Ints = npt.NDArray[np.int64]

# Chinese pages with code and formulas have at least 0.34 (0.1 % of them less); English pages quote a few characters
CHARACTER_SHARE = 0.2
FUNCTION_WORDS = "function_words"
KEPT = -1


@dataclass(frozen=True)
class RuleResults:
    """`first[d]`: the index of the first rule that document d fails (KEPT if none), with its value and threshold.

    `failed`: the number of documents that fail each rule, first or not. `skipped`: by rule and language, the number of
    documents for which a rule was skipped, because the language has no threshold or no list of words.
    """

    first: Ints
    value: Floats
    threshold: Floats
    failed: Counter[str]
    skipped: dict[str, Counter[str]]


def resolve_languages(
    languages: Sequence[str | None], signals: Mapping[str, Floats], texts: pa.ChunkedArray
) -> tuple[list[str | None], dict[str, Floats]]:
    """Languages and signals, corrected where the text contradicts its tag: the tag by script, function words to NaN.

    Text tagged as Chinese whose letters are all Latin counts as English: in Chinese corpora these are English pages,
    lists of addresses and of numbers, and the limits of both languages were derived with them (README).
    """
    resolved = list(languages)
    values = dict(signals)
    by_characters = (signals["own_units"] >= CHARACTER_SHARE).tolist()
    wrong = [row for row, tag in enumerate(resolved) if is_counted_by_character(tag) is not by_characters[row]]
    if not wrong:
        return resolved, values
    contradicted = texts.take(pa.array(wrong)).to_pylist()
    scripts = detect_by_script(count_scripts(contradicted, unicode.tables().scripts))
    for row, script in zip(wrong, scripts, strict=True):
        is_chinese = "zh" in fallbacks(resolved[row])
        resolved[row] = "en" if is_chinese and script in (None, "und-Latn") else script
    if FUNCTION_WORDS in values:  # they were counted with the list of the wrong language
        values[FUNCTION_WORDS] = values[FUNCTION_WORDS].copy()
        values[FUNCTION_WORDS][wrong] = np.nan
    return resolved, values


def apply_rules(rules: Sequence[Rule], signals: Mapping[str, Floats], languages: Sequence[str | None]) -> RuleResults:
    """Apply the rules to every document of a batch; `signals` are its columns, `languages` its tags."""
    groups, group_of = group_documents(languages, signals["own_units"])
    documents = len(group_of)
    first = np.full(documents, KEPT)
    value = np.full(documents, np.nan)
    threshold = np.full(documents, np.nan)
    failed: Counter[str] = Counter()
    skipped: dict[str, Counter[str]] = {}
    for number, rule in enumerate(rules):
        if rule.keep is None and all(limit is None for limit in rule.limits.values()):
            continue  # the rule is off
        keys = [limit_key(rule.limits, *group) for group in groups]
        limits = _limits(rule, keys)[group_of]
        measured = signals[rule.signal]
        # comparisons with NaN are false, so a missing limit or a missing value drops nothing
        fails = measured < limits if rule.side == "min" else measured > limits
        if rule.keep is not None:
            fails = ~_is_kept(rule.keep, languages)
        failed[rule.name] += int(fails.sum())
        unmeasured = np.array([key is None for key in keys], bool)[group_of] | (np.isnan(measured) & ~np.isnan(limits))
        if rule.keep is None:
            _count_skipped(skipped, rule, groups, group_of[unmeasured])
        new = fails & (first == KEPT)
        first[new], value[new], threshold[new] = number, measured[new], limits[new]
    return RuleResults(first, value, threshold, +failed, skipped)


def judged_by(rule: Rule, signals: Mapping[str, Floats], languages: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    """Whether the rule judges each document: its language has a limit, and the signal a value."""
    groups, group_of = group_documents(languages, signals["own_units"])
    if rule.keep is not None:
        return np.ones(len(group_of), bool)
    limits = _limits(rule, [limit_key(rule.limits, *group) for group in groups])[group_of]
    return np.asarray(~np.isnan(limits) & ~np.isnan(signals[rule.signal]), bool)


def group_documents(languages: Sequence[str | None], own_units: Floats) -> tuple[list[tuple[str | None, str]], Ints]:
    """Group documents by language (None if the text contradicts it) and unit: the groups, and each document's group."""
    group_of_key: dict[tuple[str | None, bool], tuple[str | None, str]] = {}
    numbers: dict[tuple[str | None, str], int] = {}
    group_of = np.empty(len(own_units), np.int64)
    for row, key in enumerate(zip(languages, (own_units >= CHARACTER_SHARE).tolist(), strict=True)):
        if key not in group_of_key:
            tag, in_characters = key
            language = canonical(tag) if is_counted_by_character(tag) == in_characters else None
            group_of_key[key] = (language, CHARACTERS if in_characters else WORDS)
        group_of[row] = numbers.setdefault(group_of_key[key], len(numbers))
    return list(numbers), group_of


def _limits(rule: Rule, keys: Sequence[str | None]) -> Floats:
    return np.array([_limit(rule.limits, key) for key in keys], np.float64)


def _is_kept(keep: frozenset[str], languages: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    """Whether the language of each document is among `keep`; zh keeps zh-Hant and yue, zh-Hans simplified alone."""
    kept = {tag: not keep.isdisjoint(names_of(tag)) for tag in set(languages)}
    return np.array([kept[tag] for tag in languages], bool)


def names_of(tag: str | None) -> set[str]:
    """Every name by which a filter may mean this language; "unknown" if it is not known."""
    if tag is None or tag.split("-")[0] == "und":
        return {"unknown", *([tag] if tag else [])}
    simplified = {"zh-Hans"} if canonical(tag) == "zh" and tag != "yue" else set()
    return {tag, *fallbacks(tag), *simplified}


def _limit(limits: Mapping[str, float | None], key: str | None) -> float:
    value = None if key is None else limits[key]
    return np.nan if value is None else value


def _count_skipped(
    skipped: dict[str, Counter[str]],
    rule: Rule,
    groups: Sequence[tuple[str | None, str]],
    unmeasured: Ints,
) -> None:
    counts = np.bincount(unmeasured, minlength=len(groups)).tolist()
    for (language, unit), count in zip(groups, counts, strict=True):
        if count:
            skipped.setdefault(rule.name, Counter())[language or f"any, by {unit}"] += count
