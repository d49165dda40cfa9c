"""The options of the filter `language`. Imports only pydantic, so that `check` and `plan` start quickly."""

from __future__ import annotations

from pydantic import field_validator

from pipeline.filters.limits import Limits, Thresholds
from pipeline.text.language import canonical


class LanguageOptions(Thresholds):
    """`keep`: tags such as en, zh (with zh-Hant and yue), zh-Hans, zh-Hant, yue, code, unknown; null keeps all.

    `min_confidence`: the share of the text in its language, from 0 to 1, half of that where the model is unsure.
    `max_second_language`: the share of the text in the language that is second.
    """

    keep: list[str] | None = None
    min_confidence: Limits = {"words": None, "characters": None}
    max_second_language: Limits = {"words": None, "characters": None}

    @field_validator("keep")
    @classmethod
    def _parse(cls, tags: list[str] | None) -> list[str] | None:
        if tags is None:
            return None
        if not tags:
            raise ValueError("names no language, so nothing would be kept. Name some, or write null to keep all")
        return [_parsed(tag) for tag in tags]


def _parsed(tag: str) -> str:
    """The tag as the stage `signals` writes it. Cantonese and simplified Chinese are names of their own here."""
    own = {"yue": "yue", "zh-hans": "zh-Hans", "zh-cn": "zh-Hans", "unknown": "unknown"}.get(tag.strip().lower())
    parsed = own or canonical(tag)
    if parsed is None or not parsed.split("-")[0].isalpha() or not 2 <= len(parsed.split("-")[0]) <= 8:
        raise ValueError(f"'{tag}' is no language; write a tag such as en, zh or zh-Hant, or code, or unknown")
    return parsed
