"""The limits by language that ship with Bloomery: `bounds.json`, each with its sources and its number of documents.

The file is what `bloomery signals --fit --json` printed for the corpus of `tests/benchmarks/bounds_corpus.py`. English
and Chinese are not taken from it: their limits were chosen by hand (README). Imports nothing but the standard library.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pipeline.text.language import is_counted_by_character

FILE = Path(__file__).with_name("bounds.json")
CHOSEN_BY_HAND = frozenset({"en", "zh", "zh-Hant"})


def with_shipped(rule: str, limits: dict[str, float | None]) -> dict[str, float | None]:
    """The limits with those of the file for further languages.

    A rule that has a limit for every language takes only looser ones from it.
    """
    side = rule.rpartition(".")[2][:3]
    result = dict(limits)
    for language, bound in _shipped().get(rule, {}).items():
        general = limits.get("characters" if is_counted_by_character(language) else "words")
        is_looser = general is None or (bound < general if side == "min" else bound > general)
        if language not in CHOSEN_BY_HAND and language not in limits and is_looser:
            result[language] = bound
    return result


@cache
def _shipped() -> dict[str, dict[str, float]]:
    """Rule → language → limit."""
    rules: dict[str, dict[str, float]] = {}
    for row in json.loads(FILE.read_text(encoding="utf-8")):
        if row["bound"] is not None:
            rules.setdefault(row["rule"], {})[row["language"]] = row["bound"]
    return rules
