"""The filters `gopher_quality` and `gopher_repetition`: the rules of Gopher as published, in a named reading."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.filters.published import PublishedFilter
from pipeline.filters.published_section import GopherQualityLimits as GopherQualityOptions
from pipeline.filters.published_section import GopherRepetitionLimits as GopherRepetitionOptions
from pipeline.kernels import published as counts
from pipeline.kernels import raw_lines
from pipeline.kernels.ngrams import DUPLICATE, TOP

OURS = {
    "min_words": "units", "max_words": "units", "min_mean_word_length": "mean_unit_length",
    "max_mean_word_length": "mean_unit_length", "min_letter_words": "letter_units", "min_stop_words": "function_words",
}  # fmt: skip
QUALITY: Mapping[str, tuple[int, int | None]] = {
    "datatrove_words": (counts.WORDS, None),
    "datatrove_mean_word_length": (counts.WORD_CHARACTERS, counts.WORDS),
    "datatrove_hash_signs": (counts.HASH_SIGNS, counts.TOKEN_COUNT),
    "datatrove_ellipses": (counts.DOTS, counts.TOKEN_COUNT),
    "datatrove_bullet_lines": (raw_lines.BULLETS, raw_lines.BREAKS),
    "datatrove_ellipsis_lines": (raw_lines.ELLIPSES, raw_lines.BREAKS),
    "datatrove_letter_words": (counts.LETTER_TOKENS, counts.TOKEN_COUNT),
    "datatrove_stop_words": (counts.STOP_WORDS, None),
}
REPETITION: Mapping[str, tuple[int, int | None]] = {
    "datatrove_duplicate_paragraphs": (raw_lines.REPEATED_PARAGRAPHS, raw_lines.PARAGRAPHS),
    "datatrove_duplicate_paragraph_characters": (raw_lines.REPEATED_PARAGRAPH_CHARACTERS, raw_lines.CHARACTERS),
    "datatrove_duplicate_lines": (raw_lines.REPEATED_PARTS, raw_lines.PARTS),
    "datatrove_duplicate_line_characters": (raw_lines.REPEATED_PART_CHARACTERS, raw_lines.CHARACTERS),
    **{f"datatrove_top_{n}gram_characters": (counts.REPEAT_COUNTS + n, raw_lines.CHARACTERS) for n in TOP},
    **{f"datatrove_duplicate_{n}gram_characters": (counts.REPEAT_COUNTS + n, raw_lines.CHARACTERS) for n in DUPLICATE},
}


class _Gopher(PublishedFilter):
    own: Mapping[str, tuple[int, int | None]]
    options: GopherQualityOptions | GopherRepetitionOptions

    def quotients(self) -> Mapping[str, tuple[int, int | None]]:
        return self.own if self.options.reading == "datatrove" else {}

    def signal_of(self, option: str) -> str:
        name = option[len("min_") :]
        return f"datatrove_{name}" if self.options.reading == "datatrove" else OURS.get(option, name)


class GopherQuality(_Gopher):
    """See `published_section.GopherQualityLimits`."""

    own = QUALITY
    measures = counts.TOKENS


class GopherRepetition(_Gopher):
    """See `published_section.GopherRepetitionLimits`."""

    own = REPETITION
    measures = counts.REPEATS
