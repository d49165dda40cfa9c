"""Says what format a raw file has, by its first bytes after decompression; each reader recognizes its own.

`recognize` is what `reader: auto` asks. `wrong_reader` finds a file that its reader cannot read, before any work. Of a
source three files of each ending are looked at: the first, the middle and the last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import PurePosixPath

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.readers import READERS
from pipeline.readers.base import Reader
from pipeline.readers.streams import StreamError, blocks

HEAD_BYTES = 64 << 10
COMPRESSED = (".gz", ".zst", ".xz", ".bz2")


def recognize(files: Sequence[RawFile], where: str) -> str:
    """The name of the reader for the files of a source.

    Raises: UserError if a file has no known format, or if two files have different ones; it names the files.
    """
    first: tuple[str, RawFile] | None = None
    for file in samples(files):
        head = head_of(file)
        if not head:
            continue
        name = next((name for name, reader in _readers() if reader.recognizes(head, content_name(file.name))), None)
        if name is None:
            raise UserError(f"{where}: {file.name} has no format that a reader recognizes. Name one: `reader: NAME`.")
        if first and first[0] != name:
            raise UserError(
                f"{where}: {first[1].name} is {_format(first[0])} and {file.name} is {_format(name)}."
                " Make them two sources, or narrow `paths`."
            )
        first = first or (name, file)
    if first is None:
        raise UserError(f"{where}: the files are empty, so no reader recognizes them. Name one: `reader: NAME`.")
    return first[0]


def wrong_reader(reader: type[Reader], files: Sequence[RawFile]) -> str | None:
    """A message if a file begins with the magic bytes of another format, which this reader could only call damaged."""
    for file in samples(files):
        head = head_of(file)
        if problem := wrong_format(reader, head, file.name):
            return problem
    return None


def wrong_format(reader: type[Reader], head: bytes, name: str) -> str | None:
    """A message if the first bytes of a file are the magic bytes of another format."""
    if not head or reader.recognizes(head, content_name(name)):
        return None
    for format_name, candidate in _readers():
        if candidate.magic and candidate is not reader and head.startswith(candidate.magic):
            return f"{name} is {_format(format_name)}: write `reader: {format_name}`."
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


def _readers() -> Iterator[tuple[str, type[Reader]]]:
    for entry in READERS.entries:
        yield entry.name, READERS.load(entry.name)


def _format(name: str) -> str:
    return READERS.load(name).format or name
