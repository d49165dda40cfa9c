"""Says what format a raw file has, by its first bytes after decompression; each reader recognizes its own.

`recognize` is what `reader: auto` asks. `wrong_reader` finds a file that its reader cannot read, before any work. Of a
source three files of each ending are looked at: the first, the middle and the last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import PurePosixPath

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.readers import READERS
from pipeline.readers.base import Reader
from pipeline.readers.streams import StreamError, blocks

HEAD_BYTES = 64 << 10
LAST = "plain"  # it recognizes every text
COMPRESSED = (".gz", ".zst", ".xz", ".bz2")


def recognize(files: Sequence[RawFile]) -> str:
    """The name of the reader for the files of a source.

    Raises: UserError if a file has no known format, or if two files have different ones; it names the files.
    """
    first: tuple[str, RawFile] | None = None
    for file in samples(files):
        head = head_of(file)
        if not head:
            continue
        name = _reader_of(head, file.name)
        if name is None:
            raise UserError(f"{file.name} has no format that a reader recognizes. Name a reader: {_known()}.")
        if first and first[0] != name:
            raise UserError(
                f"{first[1].name} is {_format(first[0])}, but {file.name} is {_format(name)}."
                " Make them two sources, or narrow `paths`."
            )
        first = first or (name, file)
    if first is None:
        raise UserError(f"the files are empty, so no reader recognizes them. Name a reader: {_known()}.")
    return first[0]


def wrong_reader(reader: type[Reader], files: Sequence[RawFile]) -> str | None:
    """A message if a file has another format, which this reader could only call damaged.

    That a file begins like another format is enough for formats with magic bytes, and for readers that read nothing
    but their own format. Nothing is said of text that no other reader wants.
    """
    exclusive = bool(reader.magic) or reader.exclusive
    for file in samples(files):
        head = head_of(file)
        if not head or reader.recognizes(head, content_name(file.name)):
            continue
        name = _reader_of(head, file.name)
        if name is None or name == LAST or READERS.load(name) is reader:
            continue
        if exclusive or head.startswith(READERS.load(name).magic or (head + b"\0",)):
            return f"{file.name} is {_format(name)}: write `reader: {name}`."
    return None


def content_name(name: str) -> str:
    """The name of a file without the ending of its compression."""
    return next((name[: -len(ending)] for ending in COMPRESSED if name.endswith(ending)), name)


def head_of(file: RawFile) -> bytes:
    """The first bytes of a file, decompressed; of a damaged file what can be read."""
    head = b""
    try:
        with closing(blocks(file.path)) as stream:
            for block in stream:
                head += block
                if len(head) >= HEAD_BYTES:
                    break
    except StreamError:
        pass
    return head[:HEAD_BYTES]


def samples(files: Sequence[RawFile]) -> list[RawFile]:
    """The first, the middle and the last file of each ending."""
    endings: dict[str, list[RawFile]] = defaultdict(list)
    for file in files:
        endings[PurePosixPath(content_name(file.name)).suffix].append(file)
    return [group[index] for group in endings.values() for index in sorted({0, len(group) // 2, len(group) - 1})]


def _reader_of(head: bytes, name: str) -> str | None:
    """The first reader of the table that recognizes a file."""
    readers = ((entry.name, READERS.load(entry.name)) for entry in READERS.entries)
    return next((key for key, reader in readers if reader.recognizes(head, content_name(name))), None)


def _known() -> str:
    return ", ".join(READERS.names())


def _format(name: str) -> str:
    return READERS.load(name).format or name
