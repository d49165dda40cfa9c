"""The section `annotate` of the YAML: models that score documents. Pydantic only: `check` and `plan` read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, Field

from pipeline import readers
from pipeline.core.checks import ConfiguredStage, Mismatch
from pipeline.core.config import Component, Section, component
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject
from pipeline.core.job import SourceFiles
from pipeline.core.named_artifact import artifact_named
from pipeline.core.registry import Registry, load
from pipeline.readers.section import Source
from pipeline.text.unicode import version
from training.annotation import SCORERS, text_sets
from training.annotation.model_folder import folder_identity, folder_source
from training.annotation.options import ScorerOptions

MODEL = "scoring_model"  # the artifact of another run, among the inputs

if TYPE_CHECKING:
    from typing import TypeAlias

    from training.annotation.base import DocumentModel

    ScorerComponent: TypeAlias = Component
else:
    ScorerComponent = component(SCORERS)


class ModelSection(Section):
    """A section that names a model of documents. `REGISTRY`: "module:NAME" of the registry of its models."""

    REGISTRY: ClassVar[str]

    model: Component


class Annotate(ModelSection):
    """A model that gives every document a number: the signal score_<name>, which the filter `score` of `clean` reads.

    Several models are a list of such entries; each is an artifact of its own, so a changed one does not score again
    what others scored.
    """

    REGISTRY: ClassVar[str] = "training.annotation:SCORERS"

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
    model: ScorerComponent


def options_of(section: ModelSection) -> BaseModel:
    """The section of the model with its options."""
    models: Registry[DocumentModel] = load(section.REGISTRY)
    return models.section(section.model.name).model_validate(section.model.options)


def declared(options: type[BaseModel] | BaseModel, name: str) -> object:
    """What the section of a model declares under this name, or the default of `ScorerOptions`."""
    return getattr(options, name, getattr(ScorerOptions, name))


def annotate_params(section: Annotate, seed: int) -> JsonObject:
    """What enters the fingerprint."""
    return {"name": section.name, **model_params(section, seed)}


def model_params(section: ModelSection, seed: int) -> JsonObject:
    """What of a model enters the fingerprint: options, the content of files in place of paths, and the seed if it
    counts."""
    options = options_of(section)
    params = dict(section.model.options)
    for option in _texts(options):
        params[option] = text_sets.identity(getattr(options, option))
    if folder := _folder(options):
        params[str(declared(options, "FOLDER"))] = folder_identity(folder)
    params.pop(str(declared(options, "ARTIFACT")), None)  # its digest is among the inputs
    seeded = {"seed": seed} if declared(options, "SEEDED") else {}
    unicode = {"unicode": version()} if declared(options, "UNICODE") else {}
    return {"model": {section.model.name: params}, **seeded, **unicode}


def file_sources(section: ModelSection) -> list[SourceFiles]:
    """Where the files lie whose content is in `model_params`."""
    options = options_of(section)
    sources = [source for option in _texts(options) for source in text_sets.sources(option, getattr(options, option))]
    folder = _folder(options)
    return [*sources, folder_source(folder)] if folder else sources


def externals(section: ModelSection) -> dict[str, str]:
    """The artifact of another run that the model is."""
    artifact = _artifact(options_of(section))
    return {MODEL: artifact} if artifact else {}


def files_are_there(stage: ConfiguredStage) -> Iterator[Mismatch]:
    """Every file, folder and artifact that the model reads is there, and a folder holds what can be loaded."""
    section = stage.section
    if not isinstance(section, ModelSection):
        return
    options = options_of(section)
    path = (*stage.path, "model", section.model.name)
    for option in _texts(options):
        for number, source in enumerate(getattr(options, option)):
            if text_problem := _text_problem(source):
                yield Mismatch((*path, option, number), text_problem)
    if (folder := _folder(options)) and (problem := _folder_problem(options, Path(folder))):
        yield Mismatch((*path, str(declared(options, "FOLDER"))), problem)
        return
    if artifact := _artifact(options):
        option = str(declared(options, "ARTIFACT"))
        try:
            artifact_named(artifact, ".".join(map(str, (*path, option))))
        except UserError as error:
            yield Mismatch((*path, option), str(error).partition(": ")[2])
            return
    if isinstance(options, ScorerOptions):
        for option, what in options.problems():
            yield Mismatch((*path, option), what)


def _text_problem(source: Source) -> str:
    """Why the texts of a source cannot be read, from its first records; empty if they can."""
    try:
        return readers.text_problem(source, readers.READERS.load(source.reader).match(source)) or ""
    except (UserError, OSError) as error:
        return str(error)


def _folder_problem(options: BaseModel, folder: Path) -> str | None:
    """Why the model of this section cannot be loaded from a folder."""
    section = options if isinstance(options, ScorerOptions) else ScorerOptions
    return section.folder_problem(folder)


def _texts(options: BaseModel) -> tuple[str, ...]:
    names = declared(options, "TEXTS")
    assert isinstance(names, tuple)
    return tuple(name for name in names if getattr(options, name))


def _folder(options: BaseModel) -> str:
    return str(getattr(options, str(declared(options, "FOLDER")), "") or "")


def _artifact(options: BaseModel) -> str:
    return str(getattr(options, str(declared(options, "ARTIFACT")), "") or "")
