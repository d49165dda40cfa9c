"""A corpus as a list of parts: raw files that were read together stay together, new ones are a part of their own.

A file belongs to the part with which it was first published; the ledger keeps the list, and a lost ledger is written
again from what the published artifacts say. So a grown source does not redo what was made of its earlier files, and a
changed or removed file redoes its own part alone. In a new work directory all files are one part. Parts are read in the
order in which they came, so a corpus that has grown may lie in another order than the same files read at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FileHashes = Mapping[str, str]
"""A raw file's name, its source in front of it → sha256."""


def parts_of(files: FileHashes, recorded: Sequence[FileHashes]) -> list[list[str]]:
    """The files in parts, by name; `recorded`: the files of every part that was published, the oldest first.

    A recorded part counts where at least one of its files is here unchanged: files of another corpus may bear the same
    names. Files that were published together as they are now are one part, whatever else was published of them.
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


def part_id(step: str, number: int) -> str:
    """What a step is called for one part: the first one bears the step's own name."""
    return f"{step}.{part_name(number)}" if number else step


def part_name(number: int) -> str:
    return f"part-{number}" if number else ""
