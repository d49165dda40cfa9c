"""The `ingest` section: sources with the options of their readers, and limits for bad records. Imports only pydantic.

The section of a reader says where its raw files are and how to read them. Their location never enters a fingerprint.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SerializeAsAny, field_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import NamesAlternative, Section, UserPath, one_of, validate_nested
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.readers import READERS, recognize

LOCATION_KEYS = frozenset({"paths", "packages", "bytes"})
"""The keys that say which raw files are read. They stay out of the fingerprint, which has names, sizes and hashes."""
LICENCE = "licence"
"""What the user states of a source. It changes no document, so it is not in the fingerprint; the data card reads it."""
AUTO = "auto"
SHORTHANDS = ("text", "join", "id", "url")
PIN_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_pin(value: str) -> str:
    if not PIN_PATTERN.match(value):
        raise ValueError(f"'{value}' is not pinned; write name==version")
    return value


def _check_encoding(value: str) -> str:
    try:
        "a".encode(value)
        return codecs.lookup(value).name
    except LookupError as error:
        raise ValueError(
            f"'{value}' is no encoding that Python knows; write utf-8, gb18030, big5, utf-16, …"
        ) from error


NonEmptyText = Annotated[str, Field(min_length=1)]
Names = Annotated[
    NonEmptyText | Annotated[list[NonEmptyText], Field(min_length=1)], one_of("a name or a list of names")
]
Paths = Annotated[list[UserPath], BeforeValidator(_as_list), Field(min_length=1)]
Pins = Annotated[list[Annotated[str, BeforeValidator(_check_pin)]], BeforeValidator(_as_list), Field(min_length=1)]
Encoding = Annotated[str, AfterValidator(_check_encoding)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
SourceParams = Mapping[str, Any]
"""The section of a source as the params of an artifact hold it; its keys depend on the reader."""


class Source(Section):
    """What all sources have. `name` enters the ids of documents; `language` overrides the language field of records.

    `licence` is shown in the data card, for documents that state none themselves.
    """

    reader: Annotated[NonEmptyText, NamesAlternative()]
    name: str = Field("", pattern=r"^[\w. -]{0,80}$")
    language: Language | None = None
    licence: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    _recognized: bool = PrivateAttr(False)

    @property
    def recognized(self) -> bool:
        """Whether the reader was chosen by the content of the files (`reader: auto`)."""
        return self._recognized


class FileSource(Source):
    """A source whose raw files are given by paths: globs, folders, or URLs that fsspec supports."""

    paths: Paths


class Fields(Section):
    """The field names of a record, or paths such as `data.body`. Several text fields are joined by `join`.

    `language: null` means the field `language`, or `lang` if that has no value. `licence` names a field whose value is
    stored as `licence` in the metadata; without it, the fields `licence` and `license` are stored as they are.
    """

    ADDED = {"join": "\n\n", "licence": None}

    id: NonEmptyText = "id"
    text: Names = "text"
    join: str = "\n\n"
    url: NonEmptyText = "url"
    language: NonEmptyText | None = None
    licence: NonEmptyText | None = None


class RecordSource(FileSource):
    """A source of records with named fields. `text: content` is short for `fields: {text: content}`, as are `join`,
    `id` and `url`."""

    fields: Fields = Fields()


class Jsonl(RecordSource):
    """JSON Lines, compressed or not."""


class JsonArray(RecordSource):
    """A JSON array of objects in each file, compressed or not."""


class ParquetFiles(RecordSource):
    """Parquet files."""


class ArrowFiles(RecordSource):
    """Arrow IPC files or streams, and folders that `datasets` wrote with `save_to_disk`."""


class Delimited(RecordSource):
    """CSV or TSV files, compressed or not. `columns` names the columns of files without a header line.

    `delimiter: null` is a comma, for the reader `tsv` a tab.
    """

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    columns: Annotated[list[NonEmptyText], Field(min_length=1)] | None = None
    encoding: Encoding = "utf-8"


class PlainText(FileSource):
    """Text files. `split` says whether a document is a file, a paragraph or a line."""

    ADDED = {"encoding": "utf-8"}

    encoding: Encoding = "utf-8"
    split: Literal["file", "paragraph", "line"] = "file"


class PythonDocs(Source):
    """Docstrings, descriptions and licences of installed distributions.

    `bytes` is the budget of raw bytes (source files before parsing). It selects the same files on every machine.
    """

    language: Language = "en"
    packages: Pins
    bytes: int | None = Field(None, ge=1)
    min_characters: int = Field(200, ge=1)


def validate_source(value: object) -> object:
    """Validate a source with the section of its reader; for "module:Class" that is the class's `Options`.

    `reader: auto`, or none, is replaced by the reader that recognizes the files, as if its name had been written.
    """
    if isinstance(value, Source) or not isinstance(value, dict):
        return value
    auto = value.get("reader", AUTO) == AUTO
    try:
        reader = _recognize(value) if auto else str(value["reader"])
        section = READERS.section(reader)
    except (UserError, OSError) as error:
        raise PydanticCustomError("component", "{message}", {"message": str(error)}) from error
    named = {**value, "reader": reader}
    options = _expand_text_shorthand(named) if "fields" in section.model_fields else named
    source = validate_nested(section, options, name=reader)
    if auto and isinstance(source, Source):
        source._recognized = True
    return source


def _recognize(value: dict[str, object]) -> str:
    if "packages" in value:
        raise UserError("names no reader; packages are read by `reader: python_docs`.")
    location = {"reader": AUTO, **{key: value[key] for key in ("paths",) if key in value}}
    return recognize(validate_nested(FileSource, location, name=AUTO).paths)


def _expand_text_shorthand(value: dict[str, object]) -> dict[str, object]:
    """Replace `text: x` by `fields: {text: x}`; `join`, `id` and `url` likewise."""
    fields = value.get("fields", {})
    if not isinstance(fields, dict):
        return value
    short = {key: value[key] for key in SHORTHANDS if key in value and key not in fields}
    rest = {key: item for key, item in value.items() if key not in short}
    return {**rest, "fields": {**short, **fields}} if short else value


class Ingest(Section):
    """Reads raw files into documents. A record above `max_record_bytes` is bad; too many bad records fail the run."""

    sources: list[Annotated[SerializeAsAny[Source], BeforeValidator(validate_source)]] = Field(min_length=1)
    max_record_bytes: int = Field(64 << 20, ge=1 << 10, le=1 << 30)
    max_bad_fraction: float = Field(0.05, ge=0, le=1)

    @field_validator("sources")
    @classmethod
    def _assign_names(cls, sources: list[Source]) -> list[Source]:
        """Give every unnamed source the name of its reader. Names must differ, because they enter document ids."""
        explicit_names = [source.name for source in sources if source.name]
        for name in explicit_names:
            if explicit_names.count(name) > 1:
                raise ValueError(f"two sources have the name '{name}'")
        named_sources: list[Source] = []
        for source in sources:
            used_names = {*explicit_names, *(source.name for source in named_sources)}
            base_name = source.reader.rpartition(":")[2]
            numbered_names = (f"{base_name}-{number}" for number in range(2, len(sources) + 2))
            free_name = next(name for name in (base_name, *numbered_names) if name not in used_names)
            named_sources.append(source if source.name else source.model_copy(update={"name": free_name}))
        return named_sources

    def raw_files(self) -> Iterator[tuple[Source, list[RawFile]]]:
        """Yield every source with its raw files.

        Raises: UserError where a source has none.
        """
        from pipeline.readers import match

        for source in self.sources:
            yield source, match(source)


def ingest_params(section: Ingest, seed: int) -> dict[str, Any]:
    """The params that enter the fingerprint: how raw files are read, not where they are. Nothing depends on `seed`."""
    params = section.model_dump(mode="json")
    outside = {*LOCATION_KEYS, LICENCE}
    sources = [
        {key: item for key, item in source.items() if key not in outside} | _revision(section.sources[index])
        for index, source in enumerate(params["sources"])
    ]
    return {**params, "sources": sources}


def _revision(source: Source) -> dict[str, int]:
    """The revision of how the files of a source are read, where it has one."""
    revision: int | None = getattr(source, "REVISION", None)
    return {} if revision is None else {"revision": revision}
