"""A threshold by language. In YAML a number is for every language; a mapping changes only what it names; null is off.

Keys are language tags (zh, zh-Hant, en …), `words` for all other languages written with spaces, and `characters` for
those counted by character. Null is off for those it is said of; where no key answers, the rule is skipped and counted:
so a limit that was found on one language judges no other.
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
        given = {_key(key): item for key, item in value.items()}
        default = cls.model_fields[str(info.field_name)].get_default() or {}
        # `words` is said of every language written with spaces, those with a default of their own among them
        return {key: item for key, item in default.items() if _class_of(key) not in given} | given

    def conflict(self, low: Any, high: Any) -> tuple[Any, Any] | None:
        """The limits of the first language of which nothing could be between them."""
        if not (isinstance(low, Mapping) and isinstance(high, Mapping)):
            return super().conflict(low, high)
        for key in (*low, *(key for key in high if key not in low)):
            language, unit = (None, key) if key in (WORDS, CHARACTERS) else (key, _class_of(key))
            least, most = (limits.get(limit_key(limits, language, unit) or "") for limits in (low, high))
            if least is not None and most is not None and least > most:
                return f"{least:g} for {key}", f"{most:g}"
        return None


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


def _class_of(key: str) -> str:
    """The key that stands for all languages written as this one is."""
    return CHARACTERS if key == CHARACTERS or is_counted_by_character(key) else WORDS


def limit_key(limits: Mapping[str, float | None], language: str | None, unit: str) -> str | None:
    """The key that answers for a language whose texts are counted by `unit` (WORDS or CHARACTERS); None for none."""
    return next((key for key in (*fallbacks(language), unit) if key in limits), None)
