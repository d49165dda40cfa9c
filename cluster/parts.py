"""Divides the raw files of a corpus into parts: files that were ingested together are one part, new files another.

A file belongs to the part with which it was first published. The ledger records the parts; a lost ledger is restored
from the published artifacts. When a source grows, its earlier files are not processed again, and a changed or removed
file reruns only its own part. In a new work directory all files are one part. Parts are read in the order of
publication, so the order of a corpus that has grown may differ from that of the same files ingested at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FileHashes = Mapping[str, str]
"""A raw file's name, its source in front of it → sha256."""


def parts_of(files: FileHashes, recorded: Sequence[FileHashes]) -> list[list[str]]:
    """The names of the files in each part. `recorded`: the files of every published part, oldest first.

    A recorded part counts if at least one of its files is unchanged, because files of another corpus may have the same
    names. If exactly these files were published together before, they are one part.
    """
    if dict(files) in [dict(part) for part in recorded]:
        return [list(files)]
    left = dict(files)
    parts = []
    for part in recorded:
        names = [name for name in left if name in part]
        if any(left[name] == part[name] for name in names):
            parts.append(names)
            left = {name: sha256 for name, sha256 in left.items() if name not in part}
    return [*parts, list(left)] if left or not parts else parts


def of_part(steps: Sequence[Sequence[str]], number: int, parts: int) -> tuple[str, ...]:
    """What a part reads of several steps: the same part of a step that has as many, else all parts of that step."""
    return tuple(step for ids in steps for step in (ids[number : number + 1] if len(ids) == parts else ids))


def part_id(step: str, number: int) -> str:
    """The id of a step for one part; the first part has the id of the step itself."""
    return f"{step}.{part_name(number)}" if number else step


def part_name(number: int) -> str:
    return f"part-{number}" if number else ""
