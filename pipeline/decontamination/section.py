"""The YAML section `decontaminate`: evaluation files, n-grams, and what happens. Imports only pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.core import listing
from pipeline.core.config import Section, UserPath
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject, RawFile, sha256_of
from pipeline.core.job import SourceFiles
from pipeline.core.yaml_tree import PathOf
from pipeline.text.unicode import version

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
FORMATS = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt")


class EvaluationFiles(Section):
    """Files of evaluation items: a path, a pattern or a URL. `task`: their name, by default that of each file.

    `fields`: the fields whose text is looked for, nested ones as a.b; by default every text of an item.
    """

    path: UserPath
    task: str | None = Field(None, pattern=r"^[\w. -]{1,80}$")
    fields: list[Annotated[str, Field(min_length=1)]] | None = Field(None, min_length=1)
    id: str = "id"


def _path_alone(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


class Decontaminate(Section):
    """Removes what training text shares with evaluation items: n-grams of `words` words, or of `characters` characters
    in scripts without spaces.

    A text of an item that is shorter is looked for as a whole, down to `min_words` or `min_characters`. `drop` removes
    the document; `cut` removes the n-grams and `margin` characters around them, then pieces below `min_piece`
    characters, and the document if more than `max_pieces` are left or none; `report` changes nothing. An n-gram in more
    than `max_documents` documents is a phrase of the corpus and is ignored; null for no limit.
    """

    files: list[Annotated[EvaluationFiles, BeforeValidator(_path_alone)]] = Field(min_length=1)
    words: int = Field(13, ge=5, le=64)
    characters: int = Field(20, ge=5, le=128)
    min_words: int = Field(8, ge=4)
    min_characters: int = Field(12, ge=4)
    action: Literal["drop", "cut", "report"] = "drop"
    margin: int = Field(200, ge=0)
    min_piece: int = Field(200, ge=0)
    max_pieces: int = Field(10, ge=1)
    max_documents: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _check_files(self) -> Decontaminate:
        names: dict[str, int] = {}
        inner: list[tuple[PathOf, str, str]] = []
        for index, entry in enumerate(self.files):
            try:
                for task, file in _matches(entry):
                    if entry.task is None and names.get(task, index) != index:
                        message = f"has a second file for the task '{task}'. Give one of them another task: name."
                        inner.append((("files", index), message, ""))
                    names[task] = index
                    if _suffix(file.name) not in FORMATS:
                        message = f"{file.name}: unknown format. Known: {', '.join(FORMATS)}, also compressed."
                        inner.append((("files", index, "path"), message, ""))
            except UserError as error:
                inner.append((("files", index, "path"), str(error), ""))
        if inner:
            raise PydanticCustomError("component", "{message}", {"message": "wrong options", "inner": inner})
        return self


def _matches(entry: EvaluationFiles) -> list[tuple[str, RawFile]]:
    """(task, file) of every file of an entry, by name."""
    return [(entry.task or _stem(file.name), file) for file in listing.match([entry.path])]


def _suffix(name: str) -> str:
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return "." + name.rpartition(".")[2].lower()


def _stem(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[0]


def decontaminate_params(section: Decontaminate, seed: int) -> JsonObject:
    """What enters the fingerprint: the content of the evaluation files, not where they are."""
    params = section.model_dump(mode="json")
    tasks = [
        {"task": task, "fields": entry.fields, "id": entry.id, "format": _suffix(file.name),
         "sha256": sha256_of(file)}
        for entry in section.files
        for task, file in _matches(entry)
    ]  # fmt: skip
    return {**{key: value for key, value in params.items() if key != "files"}, "tasks": tasks, "unicode": version()}


def decontaminate_files(section: Decontaminate) -> list[SourceFiles]:
    """Where the files lie whose digests are in the parameters, in the same order."""
    return [
        {
            "source": task,
            "reader": "evaluation",
            "files": [{"path": file.path, "name": file.name, "sha256": sha256_of(file)}],
        }
        for entry in section.files
        for task, file in _matches(entry)
    ]
