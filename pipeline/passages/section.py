"""The YAML section `passages` and the options of each finder; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import Component, Section, component
from pipeline.core.files import JsonObject
from pipeline.core.yaml_tree import PathOf
from pipeline.passages import FINDERS
from pipeline.text.unicode import version


class Lengths(Section):
    """The shortest passage that is looked at: `min_words` words, or `min_characters` characters where more than half of
    its units are characters of a script without spaces."""

    min_words: int = Field(20, ge=1)
    min_characters: int = Field(30, ge=1)


class Lines(Lengths):
    """Lines that stood in another document before; with `within_documents` also those that a document repeats."""

    within_documents: bool = False


class Paragraphs(Lengths):
    """Paragraphs (lines without a blank line between them) that stood in another document before."""

    within_documents: bool = False


class Sentences(Lengths):
    """`span` consecutive sentences that stood in another document before: C4 removes spans of three, also within a
    document (Raffel et al. 2020)."""

    span: int = Field(3, ge=1, le=64)
    within_documents: bool = False


class Boilerplate(Lengths):
    """Lines that at least `min_documents` documents of a source share, and at least `min_share` of its documents.

    `by`: what a source is: the column `source`, the `host` of the URL, or the whole `corpus`. `where`: `edges` removes
    such lines at the beginning and the end of a document alone, up to the first line that is no boilerplate, and
    shorter ones with them that stand further out.
    """

    min_words: int = Field(4, ge=1)
    min_characters: int = Field(8, ge=1)
    by: Literal["source", "host", "corpus"] = "source"
    min_documents: int = Field(10, ge=2)
    min_share: float = Field(0.01, ge=0, le=1)
    where: Literal["edges", "anywhere"] = "edges"


class Substrings(Section):
    """Text of at least `min_tokens` tokens that stood in the corpus before, wherever it begins and ends.

    Tokens are estimated: a word counts as 1.4, a Chinese character as 0.7. 50, as in Lee et al. (2021), are 36 words or
    72 characters.
    """

    min_tokens: int = Field(50, ge=10, le=10_000)


if TYPE_CHECKING:
    from typing import TypeAlias

    AnyFinder: TypeAlias = Component
else:
    AnyFinder = component(FINDERS)


class Passages(Section):
    """Removes passages that stand in the corpus several times; the first copy stays.

    A document of which less than `min_units` units are left is dropped. Documents in the languages of `skip_languages`
    are left as they are: a program without some of its lines is none.
    """

    finders: list[AnyFinder] = Field(min_length=1)
    min_units: int = Field(20, ge=1)
    skip_languages: list[str] = ["code"]

    @model_validator(mode="after")
    def _check_names(self) -> Passages:
        names = [finder.name for finder in self.finders]
        inner: list[tuple[PathOf, str, str]] = [
            (("finders", at), f"{name} stands there twice. Remove one of them.", "")
            for at, name in enumerate(names)
            if name in names[:at]
        ]
        if inner:
            raise PydanticCustomError("component", "{message}", {"message": "wrong options", "inner": inner})
        return self


def passages_params(section: Passages, seed: int) -> JsonObject:
    """What enters the fingerprint."""
    return {**section.model_dump(mode="json"), "unicode": version()}
