"""The `ingest` section: sources, each with its reader's options, and what a bad record is. Pydantic alone.

A reader's section says where its raw files lie and how they are read; where they lie never enters a fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator
from pydantic_core import PydanticCustomError

from pipeline.core.config import NamesAlternative, Section, UserPath, checked
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.readers import READERS

WHERE = frozenset({"paths", "packages", "bytes"})
"""The keys that say where raw files lie or which are taken: their names, sizes and hashes are what counts instead."""
PIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+$")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _pin(value: str) -> str:
    if not PIN.match(value):
        raise ValueError(f"'{value}' is not pinned; write name==version")
    return value


Text = Annotated[str, Field(min_length=1)]
Paths = Annotated[list[UserPath], BeforeValidator(_listed), Field(min_length=1)]
Pins = Annotated[list[Annotated[str, BeforeValidator(_pin)]], BeforeValidator(_listed), Field(min_length=1)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]


class Source(Section):
    """What every source has. `name` enters the ids of its documents; a constant `language` wins over a field's."""

    reader: Annotated[Text, NamesAlternative()]
    name: str = Field("", pattern=r"^[\w. -]{0,80}$")
    language: Language | None = None


class FileSource(Source):
    """A source whose raw files are matched by paths: globs, folders, URLs that fsspec knows."""

    paths: Paths


class Fields(Section):
    """Which fields of a record are what. `language: null` means `language`, else `lang`."""

    id: Text = "id"
    text: Text = "text"
    url: Text = "url"
    language: Text | None = None


class Jsonl(FileSource):
    """JSON Lines, plain or compressed. `text: content` is short for `fields: {text: content}`."""

    fields: Fields = Fields()


class Plain(FileSource):
    """Text files; `split` says what a document is."""

    split: Literal["file", "paragraph", "line"] = "file"


class PythonDocs(Source):
    """Docstrings, descriptions and licences of installed distributions.

    `bytes` is the budget of raw bytes (source files before parsing), the same files on every machine with these pins.
    """

    language: Language = "en"
    packages: Pins
    bytes: int | None = Field(None, ge=1)
    min_characters: int = Field(200, ge=1)


def _source(value: Any) -> Any:
    """Check a source against its reader's own section; for "module:Class" that is the class's `Options`."""
    if isinstance(value, Source) or not isinstance(value, dict):
        return value
    if "reader" not in value:
        what = f"names no reader. Known: {', '.join(READERS.names())}."
        raise PydanticCustomError("component", "{what}", {"what": what})
    try:
        section = READERS.section(str(value["reader"]))
    except UserError as error:
        raise PydanticCustomError("component", "{what}", {"what": str(error)}) from error
    return checked(section, _spelled_out(value), name=str(value["reader"]))


def _spelled_out(value: dict[str, Any]) -> dict[str, Any]:
    """`text: x` becomes `fields: {text: x}`."""
    fields = value.get("fields", {})
    if "text" not in value or not isinstance(fields, dict) or "text" in fields:
        return value
    return {**{key: item for key, item in value.items() if key != "text"}, "fields": {**fields, "text": value["text"]}}


class Ingest(Section):
    """Raw files in, documents out. A record above `max_record_bytes` is bad; too many bad ones fail the run."""

    sources: list[Annotated[SerializeAsAny[Source], BeforeValidator(_source)]] = Field(min_length=1)
    max_record_bytes: int = Field(64 << 20, ge=1 << 10, le=1 << 30)
    max_bad_fraction: float = Field(0.05, ge=0, le=1)

    @field_validator("sources")
    @classmethod
    def _name_them(cls, sources: list[Source]) -> list[Source]:
        """A source without a name gets its reader's; two of one name would give two documents one id."""
        given = [source.name for source in sources if source.name]
        for name in given:
            if given.count(name) > 1:
                raise ValueError(f"two sources bear the name '{name}'")
        named: list[Source] = []
        for source in sources:
            taken = {*given, *(other.name for other in named)}
            base = source.reader.rpartition(":")[2]
            names = (base if number == 1 else f"{base}-{number}" for number in range(1, len(sources) + 2))
            free = next(name for name in names if name not in taken)
            named.append(source if source.name else source.model_copy(update={"name": free}))
        return named

    def raw_files(self) -> Iterator[tuple[Source, list[RawFile]]]:
        """Every source with its raw files.

        Raises: UserError where a source has none.
        """
        from pipeline.readers import match

        for source in self.sources:
            yield source, match(source)


def ingest_params(section: Ingest, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: how raw files are read, not where they lie; nothing here is random."""
    whole = section.model_dump(mode="json")
    sources = [{key: item for key, item in source.items() if key not in WHERE} for source in whole["sources"]]
    return {**whole, "sources": sources}
