"""The options of the published filters. Imports only pydantic, so that `check` and `plan` stay fast.

Every limit was found on English and applies to text tagged en; write a number to apply it to every language, or a
mapping for others. `reading` names the definition of what is counted: `paper` is ours, as close to the paper as its
words allow; `datatrove` counts exactly what that code counts. Its tokens are spaCy's for English.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from pipeline.filters.limits import Limits, Thresholds


class PublishedLimits(Thresholds):
    """`READINGS`: limits that a reading sets to other values than the defaults."""

    MEASURES: ClassVar[bool] = True
    READINGS: ClassVar[dict[str, dict[str, Limits]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _set_limits_of_reading(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        reading = values.get("reading", cls.model_fields["reading"].default)
        limits = cls.READINGS.get(reading, {}) if isinstance(reading, str) else {}
        return {**limits, **values}


class GopherQualityLimits(PublishedLimits):
    """The quality rules of Gopher (Rae et al. 2021, A.1.1), with their limits."""

    reading: Literal["paper", "datatrove"] = "paper"
    min_words: Limits = {"en": 50}
    max_words: Limits = {"en": 100_000}
    min_mean_word_length: Limits = {"en": 3}
    max_mean_word_length: Limits = {"en": 10}
    max_hash_signs: Limits = {"en": 0.1}
    max_ellipses: Limits = {"en": 0.1}
    max_bullet_lines: Limits = {"en": 0.9}
    max_ellipsis_lines: Limits = {"en": 0.3}
    min_letter_words: Limits = {"en": 0.8}
    min_stop_words: Limits = {"en": 2}


class GopherRepetitionLimits(PublishedLimits):
    """The repetition rules of Gopher (table A1), with their limits."""

    reading: Literal["paper", "datatrove"] = "paper"
    max_duplicate_paragraphs: Limits = {"en": 0.30}
    max_duplicate_paragraph_characters: Limits = {"en": 0.20}
    max_duplicate_lines: Limits = {"en": 0.30}
    max_duplicate_line_characters: Limits = {"en": 0.20}
    max_top_2gram_characters: Limits = {"en": 0.20}
    max_top_3gram_characters: Limits = {"en": 0.18}
    max_top_4gram_characters: Limits = {"en": 0.16}
    max_duplicate_5gram_characters: Limits = {"en": 0.15}
    max_duplicate_6gram_characters: Limits = {"en": 0.14}
    max_duplicate_7gram_characters: Limits = {"en": 0.13}
    max_duplicate_8gram_characters: Limits = {"en": 0.12}
    max_duplicate_9gram_characters: Limits = {"en": 0.11}
    max_duplicate_10gram_characters: Limits = {"en": 0.10}


class FineWebLimits(PublishedLimits):
    """FineWeb's own rules (Penedo et al. 2024, 3.6). `paper` has 0.1 for the characters of repeated lines, the code and
    the dataset 0.01. Chinese: the values of fineweb-2 for Mandarin, whose words are units here."""

    reading: Literal["paper", "datatrove"] = "datatrove"
    READINGS = {"paper": {"max_repeated_line_characters": {"en": 0.1}}}
    min_ended_lines: Limits = {"en": 0.12, "zh": 0.106}
    max_short_lines: Limits = {"en": 0.67, "zh": None}
    max_repeated_line_characters: Limits = {"en": 0.01, "zh": 0.1}
    max_line_breaks: Limits = {"en": 0.3, "zh": None}  # fineweb-2 has 0.178 of words, which are not characters


class C4Limits(PublishedLimits):
    """C4's rules for a page, after its rules for lines, which the cleaner `c4_lines` applies to the text.

    `paper` (Raffel et al. 2020): lines of 3 words, 5 sentences; Chinese lines end in Chinese marks, and a Chinese
    character is a word. `code`: lines of 5 words, 3 sentences. `datatrove`: as the paper, the apostrophe also ends a
    line, spaCy's sentences. `end_mark: false` keeps lines without an end mark (FineWeb). `min_long_lines`: lines of at
    least 200 characters (mC4 wants 3).
    """

    reading: Literal["paper", "code", "datatrove"] = "paper"
    READINGS = {"code": {"min_sentences": {"en": 3, "zh": 3}}}
    end_mark: bool = True
    max_lorem_ipsum: Limits = {"words": 0, "characters": 0}
    max_curly_brackets: Limits = {"words": 0, "characters": 0}
    min_sentences: Limits = {"en": 5, "zh": 5}
    min_long_lines: Limits = {"words": None, "characters": None}


class RefinedWebLimits(Thresholds):
    """RefinedWeb's rule for a page (Penedo et al. 2023): the share of words in lines that its rules flag."""

    MEASURES: ClassVar[bool] = True
    max_flagged_words: Limits = {"en": 0.05, "zh": 0.05}
