"""The `clean` section and what each filter may be told. Pydantic alone, so that `check` and `plan` stay light.

Two stages read the one section: `signals` (cleaners, what is measured) and `clean` (rules, thresholds), so that a
changed threshold measures nothing again. Where the thresholds come from, and what they keep: README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from pipeline.cleaners import CLEANERS
from pipeline.core.config import Component, Section, component
from pipeline.core.plugins import plugin_names
from pipeline.filters import FILTERS
from pipeline.filters.limits import Limits, Thresholds, limit_fields
from pipeline.text.unicode import version


class Length(Thresholds):
    """Units: words, or characters in Chinese and its like. Twenty: the shortest regular poem.

    Gopher also drops above 100,000 words: `max_units: 100000`. Off here, so that a whole book comes through.
    """

    min_units: Limits = {"words": 50, "characters": 20}
    max_units: Limits = {"words": None, "characters": None}


class Quality(Thresholds):
    """Gopher's quality rules (Rae et al. 2021, A.1.1), and three of ours: capitals, misread bytes, few words often.

    What counts signs and lines is for every language. How long words are, which are frequent and how they are written
    differs from language to language: those limits are of English and Chinese, on which they were found.
    """

    max_broken_characters: Limits = {"words": 0.005, "characters": 0.005}
    min_mean_unit_length: Limits = {"en": 3, "zh": None}
    max_mean_unit_length: Limits = {"en": 10, "zh": 4}
    max_hash_signs: Limits = {"words": 0.1, "characters": 0.1}
    max_ellipses: Limits = {"words": 0.1, "characters": 0.1}
    max_bullet_lines: Limits = {"words": 0.9, "characters": 0.9}
    max_ellipsis_lines: Limits = {"words": 0.3, "characters": 0.3}
    # a table of numbers is one in any language: of 831 texts in 19 others the least has 0.90
    min_letter_units: Limits = {"en": 0.8, "zh": 0.8, "words": 0.3, "characters": 0.3}
    min_function_words: Limits = {"en": 2, "zh": 1}
    max_upper_letters: Limits = {"en": 0.7, "zh": 0.7}
    # of keywords again and again, in any language: of the same 831 texts the most has 0.04 (Thai, by character)
    max_unit_concentration: Limits = {"words": 0.1, "characters": 0.1}


class Repetition(Thresholds):
    """Gopher's repetition rules (table A1). n-grams of characters repeat more than those of words: measured values.

    Repeated lines and paragraphs are for every language; n-grams of the words of a language are its own (as `Quality`).
    """

    max_duplicate_lines: Limits = {"words": 0.30, "characters": 0.50}
    max_duplicate_paragraphs: Limits = {"words": 0.30, "characters": 0.30}
    max_duplicate_line_characters: Limits = {"words": 0.20, "characters": 0.30}
    max_duplicate_paragraph_characters: Limits = {"words": 0.20, "characters": 0.20}
    max_top_2gram_characters: Limits = {"en": 0.20, "zh": 0.20}
    max_top_3gram_characters: Limits = {"en": 0.18, "zh": 0.20}
    max_top_4gram_characters: Limits = {"en": 0.16, "zh": 0.20}
    max_duplicate_5gram_characters: Limits = {"en": 0.15, "zh": 0.70}
    max_duplicate_6gram_characters: Limits = {"en": 0.14, "zh": 0.65}
    max_duplicate_7gram_characters: Limits = {"en": 0.13, "zh": 0.60}
    max_duplicate_8gram_characters: Limits = {"en": 0.12, "zh": 0.55}
    max_duplicate_9gram_characters: Limits = {"en": 0.11, "zh": 0.50}
    max_duplicate_10gram_characters: Limits = {"en": 0.10, "zh": 0.47}


if TYPE_CHECKING:
    from typing import TypeAlias

    AnyCleaner: TypeAlias = Component
    AnyFilter: TypeAlias = Component
else:
    AnyCleaner = component(CLEANERS)
    AnyFilter = component(FILTERS)


class Clean(Section):
    """Cleaners in their order, then filters; the first rule that fails is the reason. `keep_rejected_text`: characters
    of a rejected document that are kept to look at, null for all."""

    cleaners: list[AnyCleaner] = [Component(name="unicode")]
    filters: list[AnyFilter] = ["length", "quality", "repetition"]  # type: ignore[list-item]
    keep_rejected_text: int | None = Field(2000, ge=0)

    @field_validator("cleaners", "filters")
    @classmethod
    def _once(cls, chosen: list[Component]) -> list[Component]:
        names = [one.name for one in chosen]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' is named twice")
        return chosen


def measuring_plugins(section: Clean) -> list[str]:
    """The plug-ins that decide what the stage `signals` makes."""
    return list(plugin_names([section.cleaners, _measuring(section)]))


def rules_plugins(section: Clean) -> list[str]:
    """The plug-ins that decide what the stage `clean` makes."""
    return list(plugin_names(section.filters))


def signals_params(section: Clean, seed: int) -> dict[str, Any]:
    """What the measured text and signals depend on: cleaners, filters that measure, without their limits, tables.

    The signals of `pipeline.kernels.signals` are measured in any case, so a filter that only reads those is left out.
    """
    return {
        "cleaners": [_plain(one) for one in section.cleaners],
        "filters": [_plain(_without_limits(one)) for one in _measuring(section)],
        "sources": {},  # where the first artifacts had the plug-ins' sources: kept, so that they stay good
        "unicode": version(),
    }


def rules_params(section: Clean, seed: int) -> dict[str, Any]:
    """What the choice depends on, given the signals: filters and thresholds."""
    return {
        "filters": [_plain(one) for one in section.filters],
        "keep_rejected_text": section.keep_rejected_text,
        "sources": {},  # as above
    }


def _measuring(section: Clean) -> list[Component]:
    """The filters with signals of their own. What one of a user's own measures is not known before it runs."""
    return [one for one in section.filters if ":" in one.name or getattr(FILTERS.section(one.name), "MEASURES", False)]


def _plain(one: Component) -> dict[str, Any]:
    return {"name": one.name, "options": one.options}


def _without_limits(one: Component) -> Component:
    limits = limit_fields(FILTERS.section(one.name))
    return Component(name=one.name, options={key: value for key, value in one.options.items() if key not in limits})
