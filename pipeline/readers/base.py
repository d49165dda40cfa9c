"""What every reader is: one raw file → records and bad records, in the file's order, memory bounded by one record.

Subclass `Reader`, implement `read`, and add a line to the table in `__init__.py`: name, section, class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pipeline.core import listing
from pipeline.core.files import RawFile
from pipeline.readers.section import FileSource, Source

RAW_BYTES = 2000  # how much of a bad record is kept


class Record(NamedTuple):
    """A document as it was found. `text` is valid UTF-8 and not blank; `position` grows within the file."""

    position: int
    text: bytes
    source_id: str | None = None
    url: str | None = None
    language: str | None = None
    metadata: Mapping[str, str] | None = None


class Bad(NamedTuple):
    """A record that cannot be a document: why, and its first bytes."""

    position: int
    reason: str
    detail: str
    raw: bytes


class Reader(ABC):
    """Reads the raw files of one source. `options` is the source's section as the artifact's params keep it."""

    isolation: ClassVar[Literal["threads", "processes"]] = "threads"

    def __init__(self, options: Mapping[str, Any], *, max_record_bytes: int) -> None:
        self.options, self.max_record_bytes = options, max_record_bytes
        self.left_out = 0  # fields of records that metadata cannot hold (lists, mappings)

    @classmethod
    def match(cls, source: Source) -> list[RawFile]:
        """The raw files of a source, sorted by name; cheap, nothing is opened.

        Raises: UserError when there is none.
        """
        assert isinstance(source, FileSource)
        return listing.match(source.paths)

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        """What the first records say against the source's options, for `check`: it reads a few, of bounded size."""
        return None

    @abstractmethod
    def read(self, file: RawFile, *, after: int = -1) -> Iterator[Record | Bad]:
        """The file's records whose position is beyond `after` (where a killed attempt had come to)."""


def checked_text(position: int, text: str) -> bytes | Bad:
    """The text as UTF-8, or why it is no document."""
    if not text or text.isspace():
        return Bad(position, "empty_text", "the text is white space" if text else "the text is empty", b"")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raw = text.encode("utf-8", "surrogatepass")[:RAW_BYTES]
        return Bad(position, "lone_surrogate", f"character {error.start:,} is half of a surrogate pair", raw)


def too_large(position: int, size: int, limit: int, raw: bytes) -> Bad:
    detail = f"{size:,} bytes; ingest.max_record_bytes is {limit:,}"
    return Bad(position, "record_too_large", detail, raw[:RAW_BYTES])


def invalid_utf8(position: int, data: bytes, error: UnicodeDecodeError) -> Bad:
    return Bad(position, "invalid_utf8", f"byte {error.start:,} ({error.reason})", data[:RAW_BYTES])
