"""The base class of readers: a raw file becomes records and bad records, in the file's order, one in memory at a time.

To add a reader, subclass `Reader`, implement `read`, and add its name, section and class to the table in `__init__.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

from pipeline.core import listing
from pipeline.core.files import RawFile
from pipeline.readers.section import FileSource, Source, SourceParams

RAW_BYTES = 2000  # of a bad record, kept in the quarantine


class Record(NamedTuple):
    """A document as it is in a raw file. `text` is valid UTF-8 and not blank; `position` grows within the file."""

    position: int
    text: bytes
    source_id: str | None = None
    url: str | None = None
    language: str | None = None
    metadata: Mapping[str, str] | None = None


class BadRecord(NamedTuple):
    """A record that cannot become a document: a reason, a detail for people, and its first bytes."""

    position: int
    reason: str
    detail: str
    raw: bytes


class FileSpan(NamedTuple):
    """A part of a large file that one worker reads. It depends on the file alone, never on the number of workers.

    `start` and `end` are in a unit of the reader (bytes, row groups). `first`: how many positions lie before the span;
    `continues`: its first line began in an earlier span. `records` of -1 means that `count` has to say.
    """

    start: int
    end: int
    records: int = -1
    first: int = 0
    continues: bool = False


class Skipped(NamedTuple):
    """A record that is no document and is not bad, such as the request beside a page. It is counted by reason."""

    position: int
    reason: str


AnyRecord = Record | BadRecord | Skipped


class Reader(ABC):
    """Reads the raw files of one source. `options` is the source's section as the artifact's params hold it.

    `format` is what people call such a file; `magic` the first bytes of a file that no other reader can read.
    `exclusive`: a file that another reader recognizes, and this one does not, has no document for this one.
    """

    isolation: ClassVar[Literal["threads", "processes"]] = "threads"
    format: ClassVar[str] = ""
    magic: ClassVar[tuple[bytes, ...]] = ()
    exclusive: ClassVar[bool] = False

    def __init__(self, options: SourceParams, *, max_record_bytes: int) -> None:
        self.options = options
        self.max_record_bytes = max_record_bytes

    @property
    def left_out(self) -> int:
        """The number of fields, of all records read so far, that metadata cannot hold (lists, mappings)."""
        return 0

    @property
    def truncated(self) -> Mapping[str, int]:
        """The number of documents, of all records read so far, that are known to be cut, by what says so."""
        return {}

    @classmethod
    def match(cls, source: Source) -> list[RawFile]:
        """List the raw files of a source, sorted by name. No file is opened.

        Raises: UserError when there is none.
        """
        assert isinstance(source, FileSource)
        return listing.match(source.paths)

    @classmethod
    def text_problem(cls, source: Source, files: Sequence[RawFile]) -> str | None:
        """For `check`: compare the options with the first records, a few of bounded size. Returns a message or None."""
        return None

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        """For `reader: auto`: whether a file is of this format, by its first 64 KiB, decompressed, and its name.

        Readers are asked in the order of their table; the first that recognizes a file takes it.
        """
        return head.startswith(cls.magic) if cls.magic else False

    def divide(self, file: RawFile, span_bytes: int) -> Sequence[FileSpan]:
        """Divide a large file into spans of about `span_bytes` of content; empty if it must be read whole.

        It may take one quick pass over the file. A reader that implements it also implements `count` and `read_span`.
        """
        return ()

    def count(self, file: RawFile, span: FileSpan) -> tuple[int, bool]:
        """How many positions a span holds, and whether its last record continues in the next span. Runs in parallel."""
        raise NotImplementedError

    def read_span(self, file: RawFile, span: FileSpan, *, after: int = -1) -> Iterator[AnyRecord]:
        """Like `read`, of the records that begin in a span; positions are those that `read` gives."""
        raise NotImplementedError

    @abstractmethod
    def read(self, file: RawFile, *, after: int = -1) -> Iterator[AnyRecord]:
        """Yield the records whose position is greater than `after`, the last position that a killed attempt reached."""


def encode_text(position: int, text: str) -> bytes | BadRecord:
    """Encode the text as UTF-8, or return a bad record if it is blank or cannot be encoded."""
    if not text or text.isspace():
        return BadRecord(position, "empty_text", "the text is white space" if text else "the text is empty", b"")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raw = text.encode("utf-8", "surrogatepass")[:RAW_BYTES]
        return BadRecord(position, "lone_surrogate", f"character {error.start:,} is half of a surrogate pair", raw)


def too_large(position: int, size: int, limit: int, raw: bytes) -> BadRecord:
    detail = f"{size:,} bytes; ingest.max_record_bytes is {limit:,}"
    return BadRecord(position, "record_too_large", detail, raw[:RAW_BYTES])


def invalid_utf8(position: int, data: bytes, error: UnicodeDecodeError) -> BadRecord:
    return BadRecord(position, "invalid_utf8", f"byte {error.start:,} ({error.reason})", data[:RAW_BYTES])
