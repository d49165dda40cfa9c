"""What the section of every annotation model may declare beside its options. Pydantic only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from pipeline.core.config import Section
from pipeline.text.language import canonical
from training.annotation import model_folder


def _canonical(tag: str) -> str:
    language = canonical(tag)
    if language is None:
        raise ValueError("is no language; write a tag such as zh or en")
    return language


LanguageTag = Annotated[str, AfterValidator(_canonical)]
"""A language tag in its canonical spelling."""


class ScorerOptions(Section):
    """The base of the sections; a section may also derive from `Section` and declare the same names.

    `TASK_BYTES`: bytes of a file of documents, compressed, that are one task. A task is lost with the process that
    works on it, so a slow model has small ones. `SEEDED`: whether the seed of the run decides anything.
    `TEXTS`: the options that are sets of texts (`text_sets.TextSet`); their content enters the fingerprint, never their
    place. `FOLDER`: the option that names a local folder of a model; likewise. `ARTIFACT`: the option that names an
    artifact of another run. `UNICODE`: whether scores depend on the tables of `pipeline.text.unicode`.
    """

    TASK_BYTES: ClassVar[int] = 32 << 20
    SEEDED: ClassVar[bool] = False
    TEXTS: ClassVar[tuple[str, ...]] = ()
    FOLDER: ClassVar[str] = ""
    ARTIFACT: ClassVar[str] = ""
    UNICODE: ClassVar[bool] = False

    @classmethod
    def folder_problem(cls, folder: Path) -> str | None:
        """Why no model can be loaded from the folder that `FOLDER` names, without loading it; None if one can."""
        return model_folder.folder_problem(folder)

    def problems(self) -> Iterator[tuple[str, str]]:
        """(option, what is wrong with it), for `check`: what the files that are named show. They are there."""
        return iter(())
