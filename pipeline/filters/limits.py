"""A threshold by language. In YAML a number is for every language; a mapping changes only what it names; null is off.

Keys are language tags (zh, zh-Hant, en …), `words` for all other languages written with spaces, and `characters` for
those counted by character. Null is off for those it is said of; where no key answers, the rule is skipped and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel, ValidationInfo, field_validator

from pipeline.core.config import Section
from pipeline.text.language import canonical, chain

WORDS, CHARACTERS = "words", "characters"
Limits: TypeAlias = dict[str, float | None]
_TAG = re.compile(r"[a-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class Thresholds(Section):
    """A section in which every field of the type `Limits` is a threshold by language, and any other what it says.

    What the YAML leaves out of a threshold keeps the field's default. `MEASURES`: whether the filter has signals of its
    own (a test holds it against `signal_names`): said here, so that the plan need not load the filter.
    """

    MEASURES: ClassVar[bool] = False

    @field_validator("*", mode="before")
    @classmethod
    def _over_default(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name not in limit_fields(cls):
            return value
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return {WORDS: value, CHARACTERS: value}
        if not isinstance(value, Mapping):
            raise ValueError("write a number, null, or a mapping from languages to numbers")
        default = cls.model_fields[str(info.field_name)].get_default() or {}
        return {**default, **{_key(key): item for key, item in value.items()}}


def limit_fields(section: type[BaseModel]) -> frozenset[str]:
    """The options of a filter that are limits of its rules: the rules read them, what is measured cannot."""
    return frozenset(name for name, field in section.model_fields.items() if field.annotation == Limits)


def _key(key: Any) -> str:
    if key in (WORDS, CHARACTERS):
        return str(key)
    tag = canonical(str(key))
    if tag is None or not _TAG.fullmatch(tag):
        raise ValueError(f"'{key}' is no language; write a tag such as zh or en, or {WORDS}, or {CHARACTERS}")
    return tag


def key_of(limits: Mapping[str, float | None], language: str | None, unit: str) -> str | None:
    """The key that answers for a language whose texts are counted by `unit` (WORDS or CHARACTERS); None for none."""
    return next((key for key in (*chain(language), unit) if key in limits), None)
