"""Readers: one raw file → documents. `match` lists a source's raw files, `reader` gives the class that reads them.

A new reader is a file beside `jsonl.py` with its section and its class, and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.readers.base import Reader
    from pipeline.readers.section import Source

_OPTIONS, _CODE = "pipeline.readers.section", "pipeline.readers"

READERS: Registry[Reader] = Registry(
    "reader",
    (
        Entry("jsonl", f"{_OPTIONS}:Jsonl", f"{_CODE}.jsonl:Jsonl"),
        Entry("plain", f"{_OPTIONS}:Plain", f"{_CODE}.plain:Plain"),
        Entry("python_docs", f"{_OPTIONS}:PythonDocs", f"{_CODE}.python_docs:PythonDocs"),
    ),
    base="pipeline.readers.base:Reader",
    options=f"{_OPTIONS}:FileSource",
)


def match(source: Source) -> list[RawFile]:
    """A source's raw files, sorted by name; nothing is opened.

    Raises: UserError when there is none, or when two would bear one name and so give two documents one id.
    """
    found: list[RawFile] = READERS.load(source.reader).match(source)
    for one, other in zip(found, found[1:], strict=False):
        if one.name == other.name:
            raise UserError(
                f"ingest source '{source.name}': {one.path} and {other.path} are both called {one.name} within their"
                " paths. Match them with one pattern from a folder above, or make them two sources."
            )
    return found


def text_problem(source: Source, files: Sequence[RawFile]) -> str | None:
    """What the first records of a source say against its options, or None; a few records are read."""
    problem: str | None = READERS.load(source.reader).text_problem(source, files)
    return problem


def reader(options: Mapping[str, Any], *, max_record_bytes: int) -> Reader:
    """The reader of a source, from the source as the artifact's params keep it."""
    found: Reader = READERS.load(options["reader"])(options, max_record_bytes=max_record_bytes)
    return found
