"""Raw files by their paths: names, folders and patterns on this machine; addresses are in `remote.py`.

A path that is the very name of a file or folder means that; only otherwise are `*`, `?`, `[…]` and `**` a pattern. The
same holds for each part of a path: in `set [v1]/*.jsonl` a folder of this name is taken by its name. A name that begins
with a dot is matched by no wildcard.
Nothing that matches is left out in silence: unreadable files and folders, links to nothing or in a circle, pipes and
devices are refused by name. A file under two names (a link) is two files, as two copies would be: what a corpus holds
follows from names and bytes, not from how a disk stores them; deduplication finds the copies.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, version_of
from pipeline.core.remote import match_remote

SHOWN = 3  # of what cannot be read; the rest is counted
Directory = tuple[int, int]
"""Device and inode: the same folder under whatever name."""


def match(patterns: Sequence[str]) -> list[RawFile]:
    """The files that match, sorted by the bytes of their names; a path that matches twice counts once.

    Raises: UserError when a pattern matches no file, or when something that it matches cannot be read.
    """
    matches: dict[str, RawFile] = {}
    for pattern in patterns:
        local = "://" not in pattern
        files = _LocalMatch(pattern).files() if local else match_remote(pattern)
        if not files:
            raise UserError(
                f"{shown(pattern)}: no file matches. Check the path; it is relative to the current directory."
            )
        for file in files:
            matches.setdefault(os.path.normpath(file.path) if local else file.path, file)
    return sorted(matches.values(), key=lambda file: (file.name.encode(), file.path.encode()))


def shown(path: str | Path) -> str:
    r"""A path for a message; bytes that are no UTF-8 as \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class _LocalMatch:
    """The files of one path or pattern. `parts` is what is a pattern below the folder `root`."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.root = Path("/" if pattern.startswith("/") else "")
        self.parts = [part for part in pattern.split("/") if part]
        self.matches: list[RawFile] = []
        self.problems: list[str] = []

    def files(self) -> list[RawFile]:
        """Every file that matches.

        Raises: UserError that names what matches and cannot be read.
        """
        while self.parts and self._exists(path := self.root / self.parts[0]):
            if len(self.parts) == 1 and not _is_folder(path):
                self._entry(path, self.parts[0], {1}, ())
                break
            self.root, self.parts = path, self.parts[1:]
        else:
            # a folder means every file below it
            self.parts = self.parts or ["**"]
            if any(map(glob.has_magic, self.parts)):
                self._folder(self.root, "", self._with_skipped({0}), ())
        if self.problems:
            more = f"; {len(self.problems) - SHOWN:,} more" if len(self.problems) > SHOWN else ""
            problems = "; ".join(self.problems[:SHOWN])
            raise UserError(f"{problems}{more}. Make it readable, remove it, or give paths that leave it out.")
        return self.matches

    def _exists(self, path: Path) -> bool:
        """Whether something bears this name, even a link to nothing."""
        try:
            path.lstat()
        except PermissionError as error:
            self.problems.append(f"{shown(path)} cannot be read ({error.strerror})")
            return False
        except (OSError, ValueError):  # not there, too long for a name, a NUL in it
            return False
        return True

    def _folder(self, folder: Path, prefix: str, states: set[int], above: tuple[Directory, ...]) -> None:
        """Take what matches in a folder. `states`: which parts may come next; `above`: the folders that lead here."""
        try:
            status = folder.stat()
            names = sorted(path.name for path in folder.iterdir())
        except OSError as error:
            self.problems.append(f"the folder {shown(folder)} cannot be read ({error.strerror})")
            return
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            self.problems.append(f"{shown(folder)} is a link in a circle: it leads back to a folder above it")
            return
        literal_parts = {part for part in self.parts if part in set(names)}
        for name in names:
            following = self._following(name, states, literal_parts)
            if following:
                self._entry(folder / name, f"{prefix}{name}", following, (*above, identity))

    def _following(self, name: str, states: set[int], literal_parts: set[str]) -> set[int]:
        """Which parts may come behind `name`; the number of parts means that the path is complete with it."""
        following = set()
        for state in states:
            part = self.parts[state] if state < len(self.parts) else ""
            if part == "**" and not name.startswith("."):
                following.add(state)
            elif part and part != "**" and _matches(name, part, literal_parts):
                following.add(state + 1)
        return self._with_skipped(following)

    def _with_skipped(self, states: set[int]) -> set[int]:
        """`**` stands for no folder at all too."""
        for state in sorted(states):
            while state < len(self.parts) and self.parts[state] == "**":
                state += 1
                states.add(state)
        return states

    def _entry(self, path: Path, name: str, following: set[int], above: tuple[Directory, ...]) -> None:
        complete = len(self.parts) in following
        try:
            status = path.stat()
        except OSError as error:
            # a link to nothing that no pattern matches is nobody's concern; a folder that hides its files is
            if complete or error.errno == errno.EACCES:
                self.problems.append(f"{shown(path)} {_reason(path, error)}")
            return
        if stat.S_ISDIR(status.st_mode):
            if following - {len(self.parts)}:
                self._folder(path, f"{name}/", following, above)
        elif complete:
            self._file(path, name, status)

    def _file(self, path: Path, name: str, status: os.stat_result) -> None:
        absolute = str(path.absolute())
        if not stat.S_ISREG(status.st_mode):
            self.problems.append(f"{shown(path)} is no file but a pipe, a socket or a device")
        elif not os.access(path, os.R_OK):
            self.problems.append(f"{shown(path)} cannot be read ({os.strerror(errno.EACCES)})")
        elif shown(absolute) != absolute:
            self.problems.append(f"{shown(path)} has a name that is not UTF-8; rename it")
        else:
            self.matches.append(RawFile(absolute, name, status.st_size, status.st_mtime, version_of(status)))


def _matches(name: str, part: str, literal_parts: set[str]) -> bool:
    if part in literal_parts or not glob.has_magic(part):
        return name == part
    return fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _reason(path: Path, error: OSError) -> str:
    """Why something that was listed cannot be looked at."""
    if error.errno == errno.ENOENT and path.is_symlink():
        return f"is a link to nothing ({shown(path.readlink())})"
    return "is a link in a circle" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
