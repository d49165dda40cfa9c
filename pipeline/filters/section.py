"""The YAML section `clean` and the options of each filter. Imports only pydantic, so that `check` and `plan` stay fast.

Two stages read this section: `signals` (cleaners and measuring filters) and `clean` (rules and thresholds), so nothing
is measured again when a threshold changes. README.md has the sources of the thresholds and what they keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pipeline.cleaners import CLEANERS
from pipeline.core.config import Component, Section, component
from pipeline.core.files import JsonObject
from pipeline.core.job import SourceFiles
from pipeline.core.plugins import plugin_names
from pipeline.core.stage import NamedInput
from pipeline.filters import FILTERS
from pipeline.filters.blocklist_section import identity, list_sources, nameless_problem, without_files
from pipeline.filters.bounds import with_shipped
from pipeline.filters.limits import Limits, Thresholds, limit_fields
from pipeline.filters.presets import expand
from pipeline.filters.score_section import SCORE, score_names
from pipeline.pii.section import dropped_kinds, limits_problem
from pipeline.text.language_model import IDENTITY
from pipeline.text.unicode import version

PII = "pii"  # the cleaner, and the filter that reads what it counts


class Length(Thresholds):
    """Lengths in units: words, or characters in Chinese and similar languages. 20: the shortest regular poem.

    Gopher also drops documents of more than 100,000 words (`max_units: 100000`). It is off here, so that whole books
    are kept.
    """

    min_units: Limits = {"words": 50, "characters": 20}
    max_units: Limits = {"words": None, "characters": None}


class Quality(Thresholds):
    """The quality rules of Gopher (Rae et al. 2021, A.1.1), and three of ours: capitals, misread bytes, repeated words.

    Limits on signs and lines apply to every language. The length of words, which words are frequent and how words are
    written differ between languages: those limits apply only to languages with a limit of their own. Those of English
    and Chinese stand here, those of others come from bounds.json.
    """

    max_broken_characters: Limits = with_shipped("quality.max_broken_characters", {"words": 0.005, "characters": 0.005})
    min_mean_unit_length: Limits = with_shipped("quality.min_mean_unit_length", {"en": 3, "zh": None})
    max_mean_unit_length: Limits = with_shipped("quality.max_mean_unit_length", {"en": 10, "zh": 4})
    # in code it begins comments
    max_hash_signs: Limits = with_shipped("quality.max_hash_signs", {"words": 0.1, "characters": 0.1, "code": None})
    max_ellipses: Limits = with_shipped("quality.max_ellipses", {"words": 0.1, "characters": 0.1})
    max_bullet_lines: Limits = with_shipped("quality.max_bullet_lines", {"words": 0.9, "characters": 0.9})
    max_ellipsis_lines: Limits = with_shipped("quality.max_ellipsis_lines", {"words": 0.3, "characters": 0.3})
    # tables of numbers look alike in every language: of 831 texts in 19 other languages the minimum is 0.90
    min_letter_units: Limits = with_shipped(
        "quality.min_letter_units", {"en": 0.5, "zh": 0.8, "words": 0.3, "characters": 0.3}
    )
    min_function_words: Limits = with_shipped("quality.min_function_words", {"en": 2, "zh": 1})
    max_upper_letters: Limits = with_shipped("quality.max_upper_letters", {"en": 0.7, "zh": 0.7})
    # keyword spam, in every language: of the same 831 texts the maximum is 0.04 (Thai, by character)
    max_unit_concentration: Limits = with_shipped("quality.max_unit_concentration", {"words": 0.1, "characters": 0.1})


class Repetition(Thresholds):
    """The repetition rules of Gopher (table A1). n-grams of characters repeat more than those of words, so their limits
    were measured.

    Limits on repeated lines and paragraphs apply to every language; limits on n-grams only to one (see `Quality`). The
    English ones on 5- to 10-grams are a fifth above Gopher's: we divide by characters in units, not by all characters.
    """

    max_duplicate_lines: Limits = with_shipped("repetition.max_duplicate_lines", {"words": 0.30, "characters": 0.50})
    max_duplicate_paragraphs: Limits = with_shipped(
        "repetition.max_duplicate_paragraphs", {"words": 0.30, "characters": 0.30}
    )
    max_duplicate_line_characters: Limits = with_shipped(
        "repetition.max_duplicate_line_characters", {"words": 0.20, "characters": 0.30}
    )
    max_duplicate_paragraph_characters: Limits = with_shipped(
        "repetition.max_duplicate_paragraph_characters", {"words": 0.20, "characters": 0.20}
    )
    max_top_2gram_characters: Limits = with_shipped("repetition.max_top_2gram_characters", {"en": 0.20, "zh": 0.20})
    max_top_3gram_characters: Limits = with_shipped("repetition.max_top_3gram_characters", {"en": 0.18, "zh": 0.20})
    max_top_4gram_characters: Limits = with_shipped("repetition.max_top_4gram_characters", {"en": 0.16, "zh": 0.20})
    max_duplicate_5gram_characters: Limits = with_shipped(
        "repetition.max_duplicate_5gram_characters", {"en": 0.18, "zh": 0.70}
    )
    max_duplicate_6gram_characters: Limits = with_shipped(
        "repetition.max_duplicate_6gram_characters", {"en": 0.17, "zh": 0.65}
    )
    max_duplicate_7gram_characters: Limits = with_shipped(
        "repetition.max_duplicate_7gram_characters", {"en": 0.16, "zh": 0.60}
    )
    max_duplicate_8gram_characters: Limits = with_shipped(
        "repetition.max_duplicate_8gram_characters", {"en": 0.145, "zh": 0.55}
    )
    max_duplicate_9gram_characters: Limits = with_shipped(
        "repetition.max_duplicate_9gram_characters", {"en": 0.13, "zh": 0.50}
    )
    max_duplicate_10gram_characters: Limits = with_shipped(
        "repetition.max_duplicate_10gram_characters", {"en": 0.12, "zh": 0.47}
    )


if TYPE_CHECKING:
    from typing import TypeAlias

    AnyCleaner: TypeAlias = Component
    AnyFilter: TypeAlias = Component
else:
    AnyCleaner = component(CLEANERS)
    AnyFilter = component(FILTERS)


class Clean(Section):
    """Cleaners and filters in their order; the first rule that fails is the reason. `filters` may be the name of a
    preset instead (`presets.py`), which also adds its cleaners of lines.

    `language`: whose language is identified: that of documents without a tag and of those whose tag the text
    contradicts (`untagged`), of `all`, or of none (null). `keep_rejected_text`: the number of characters of a rejected
    document that are stored for inspection, null for all.
    """

    cleaners: list[AnyCleaner] = [Component(name="unicode")]
    language: Literal["untagged", "all"] | None = "untagged"
    filters: list[AnyFilter] = ["length", "quality", "repetition"]  # type: ignore[list-item]
    keep_rejected_text: int | None = Field(2000, ge=0)

    @model_validator(mode="after")
    def _check_inputs_of_filters(self) -> Clean:
        limits = next((entry for entry in self.filters if entry.name == PII), None)
        cleaner = next((entry for entry in self.cleaners if entry.name == PII), None)
        problem = "" if limits is None else limits_problem(limits.options, None if cleaner is None else cleaner.options)
        problem = problem or nameless_problem(self.filters)
        if problem:
            inner = [(("filters",), problem, "")]
            raise PydanticCustomError("component", "{message}", {"message": "wrong options", "inner": inner})
        return self

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, values: object) -> object:
        return expand(values)

    @field_validator("cleaners", "filters")
    @classmethod
    def _check_unique(cls, components: list[Component]) -> list[Component]:
        names = [component.name for component in components]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' is named twice")
        return components


def measuring_plugins(section: Clean) -> list[str]:
    """The plug-ins that affect the result of the stage `signals`."""
    return list(plugin_names([section.cleaners, _measuring(section)]))


def rules_plugins(section: Clean) -> list[str]:
    """The plug-ins that affect the result of the stage `clean`."""
    return list(plugin_names(section.filters))


def scores_read(section: Clean) -> list[NamedInput]:
    """The entries of `annotate` whose scores the stage `clean` reads, each with the option that names it."""
    return [
        NamedInput("annotations", name, ("filters", number, component.name, option))
        for number, component in enumerate(section.filters)
        if component.name == SCORE
        for option, name in score_names(component.options)
    ]


def signals_params(section: Clean, seed: int) -> JsonObject:
    """What cleaned text and signals depend on: cleaners, measuring filters without their limits, Unicode tables.

    The signals of `pipeline.kernels.signals` are always measured, so a filter that only reads those is left out.
    """
    return {
        "cleaners": [{**_to_json(cleaner), **_revision(cleaner)} for cleaner in section.cleaners],
        "filters": [
            {**_to_json(without_files(_without_limits(component))), **identity(component)}
            for component in _measuring(section)
        ],
        "sources": {},  # earlier versions stored the sources of plug-ins here; kept so that fingerprints do not change
        "unicode": version(),
        "language": section.language,
        "language_model": section.language and IDENTITY,
    }


def signals_files(section: Clean) -> list[SourceFiles]:
    """Where the files lie whose digests are in `signals_params`."""
    return list_sources(section.filters)


def rules_params(section: Clean, seed: int) -> JsonObject:
    """What the decisions depend on, beside the signals: filters and thresholds."""
    return {
        "filters": [_to_json(without_files(component)) for component in _with_dropped_kinds(section)],
        "keep_rejected_text": section.keep_rejected_text,
        "sources": {},  # as above
    }


def _with_dropped_kinds(section: Clean) -> list[Component]:
    """The filters, and before them the limits of the kinds of personal data whose action is `drop`."""
    kinds = [kind for cleaner in section.cleaners if cleaner.name == PII for kind in dropped_kinds(cleaner.options)]
    if not kinds:
        return section.filters
    own: JsonObject = next((entry.options for entry in section.filters if entry.name == PII), {})
    limits = {**own, **{f"max_{kind}": {"words": 0.0, "characters": 0.0} for kind in kinds}}
    return [Component(name=PII, options=limits), *(entry for entry in section.filters if entry.name != PII)]


def _revision(cleaner: Component) -> JsonObject:
    """The revision of the rules of a cleaner, where it has one: it is part of the fingerprint."""
    revision = None if ":" in cleaner.name else getattr(CLEANERS.section(cleaner.name), "REVISION", None)
    return {} if revision is None else {"revision": revision}


def _measuring(section: Clean) -> list[Component]:
    """The filters with signals of their own; every plug-in counts, since its signals are unknown before it runs."""
    return [component for component in section.filters if ":" in component.name or _measures(component.name)]


def _measures(name: str) -> bool:
    return bool(getattr(FILTERS.section(name), "MEASURES", False))


def _to_json(component: Component) -> JsonObject:
    return {"name": component.name, "options": component.options}


def _without_limits(component: Component) -> Component:
    limits = limit_fields(FILTERS.section(component.name))
    options = {key: value for key, value in component.options.items() if key not in limits}
    return Component(name=component.name, options=options)
