"""The YAML sections of cleaners. This file imports only pydantic, so that `check` and `plan` start quickly."""

from __future__ import annotations

import importlib.util
from typing import Literal, TypeVar

from pydantic import Field, model_validator

from pipeline.core.config import Section

S = TypeVar("S", bound=Section)


class Unicode(Section):
    """Normal form C, control characters removed, line endings and white space cleaned. It has no options."""


class Mojibake(Section):
    """Text decoded with the wrong encoding is repaired where it looks so. It has no options."""

    @model_validator(mode="after")
    def _check_installed(self) -> Mojibake:
        return _needs(self, "ftfy", "repair")


class Chinese(Section):
    """Traditional or simplified characters, by OpenCC's conversion of this name. Japanese text stays as it is."""

    to: Literal[
        "t2s", "s2t", "s2tw", "tw2s", "s2hk", "hk2s", "s2twp", "tw2sp", "t2tw", "tw2t", "t2hk", "hk2t", "t2jp", "jp2t"
    ] = "t2s"

    @model_validator(mode="after")
    def _check_installed(self) -> Chinese:
        return _needs(self, "opencc", "chinese")


class Width(Section):
    """Forms of characters to replace: full-width letters and digits, punctuation, all compatibility forms."""

    letters: Literal["half"] | None = "half"
    punctuation: Literal["chinese", "ascii"] | None = None
    nfkc: bool = False


def _needs(section: S, library: str, extra: str) -> S:
    if importlib.util.find_spec(library) is None:
        raise ValueError(f"needs {library}, which is not installed: pip install 'bloomery[{extra}]'")
    return section


class C4Lines(Section):
    """C4's rules for lines. `reading`: as in the filter `c4`. `end_mark: false` keeps lines without an end mark."""

    reading: Literal["paper", "code", "datatrove"] = "paper"
    end_mark: bool = True


class RefinedWebLines(Section):
    """RefinedWeb's rules for lines, in documents of whose words such lines hold at most `max_flagged_words`."""

    max_flagged_words: float = Field(0.05, ge=0, le=1)
