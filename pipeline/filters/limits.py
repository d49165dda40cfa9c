"""Thresholds by language. In YAML a number applies to every language, a mapping only to its keys, and null is off.

Keys are language tags (zh, zh-Hant, en …), `words` for all other languages written with spaces, and `characters` for
those counted by character. Null switches the rule off for its key; a language that no key covers skips the rule, which
is counted. A limit that was derived from one language is therefore not applied to another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel, ValidationInfo, field_validator

from pipeline.core.config import Section
from pipeline.text.language import canonical, fallbacks, is_counted_by_character

WORDS, CHARACTERS = "words", "characters"
Limits: TypeAlias = dict[str, float | None]
_TAG = re.compile(r"[a-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class Thresholds(Section):
    """A section whose fields of the type `Limits` are thresholds by language; other fields are ordinary options.

    Keys that the YAML leaves out of a threshold keep their defaults. `MEASURES`: whether the filter has signals of its
    own (a test compares it with `signal_names`); it is stated here so that planning need not load the filter.
    """

    MEASURES: ClassVar[bool] = False

    @field_validator("*", mode="before")
    @classmethod
    def _merge_with_default(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name not in limit_fields(cls):
            return value
        return parse_limits(value, cls.model_fields[str(info.field_name)].get_default() or {})

    def conflict(self, low: object, high: object) -> tuple[object, object] | None:
        """The limits of the first language for which no value satisfies both."""
        if not (isinstance(low, Mapping) and isinstance(high, Mapping)):
            return super().conflict(low, high)
        for key in (*low, *(key for key in high if key not in low)):
            language, unit = (None, key) if key in (WORDS, CHARACTERS) else (key, _unit_of(key))
            least, most = (limits.get(limit_key(limits, language, unit) or "") for limits in (low, high))
            if least is not None and most is not None and least > most:
                return f"{least:g} for {key}", f"{most:g}"
        return None


def parse_limits(value: object, default: Mapping[str, float | None] | None = None) -> object:
    """The limits that a number, null or a mapping stands for; a mapping leaves other keys at their default.

    Raises: ValueError when it is none of these, or a key is no language.
    """
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return {WORDS: value, CHARACTERS: value}
    if not isinstance(value, Mapping):
        raise ValueError("write a number, null, or a mapping from languages to numbers")
    return merge_limits(default or {}, value)


def merge_limits(limits: Mapping[str, float | None], changes: Mapping[Any, Any]) -> dict[str, Any]:
    """The limits with the changes for some keys.

    Raises: ValueError when a key is no language.
    """
    overrides = {_parse_key(key): item for key, item in changes.items()}
    # `words` covers every language written with spaces, including those with a limit of their own
    return {key: item for key, item in limits.items() if _unit_of(key) not in overrides} | overrides


def limit_fields(section: type[BaseModel]) -> frozenset[str]:
    """The options of a filter that are limits of its rules: rules may read them, signals may not."""
    return frozenset(name for name, field in section.model_fields.items() if field.annotation == Limits)


def _parse_key(key: object) -> str:
    if key in (WORDS, CHARACTERS):
        return str(key)
    tag = canonical(str(key))
    if tag is None or not _TAG.fullmatch(tag):
        raise ValueError(f"'{key}' is no language; write a tag such as zh or en, or {WORDS}, or {CHARACTERS}")
    return tag


def _unit_of(key: str) -> str:
    """The key that stands for all languages counted by the same unit as this one."""
    return CHARACTERS if key == CHARACTERS or is_counted_by_character(key) else WORDS


def limit_key(limits: Mapping[str, float | None], language: str | None, unit: str) -> str | None:
    """The key that applies to a language whose texts are counted by `unit` (WORDS or CHARACTERS); None if there is
    none."""
    return next((key for key in (*fallbacks(language), unit) if key in limits), None)
