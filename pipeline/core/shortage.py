"""Recognise a limit of the machine that was reached, whoever reports it: Python, Arrow, Polars, Beam or a C++ library.

A full disk or quota, exhausted memory, a limit on the size of a file (ulimit -f), a file system that became read-only.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Literal

Shortage = Literal["disk", "memory", "file size", "read-only"]

SIGNS: dict[Shortage, tuple[str, ...]] = {
    "disk": ("No space left on device", "Disk quota exceeded"),
    "memory": (
        "MemoryError", "bad_alloc", "Cannot allocate memory", "can't start new thread", "memory allocation of",
        "Unable to allocate", "failed to map segment",
    ),
    "file size": ("File too large", "File size limit exceeded"),
    "read-only": ("Read-only file system",),
}  # fmt: skip
ERRNO: dict[int | None, Shortage] = {
    errno.ENOSPC: "disk", errno.EDQUOT: "disk", errno.ENOMEM: "memory", errno.EFBIG: "file size",
    errno.EROFS: "read-only",
}  # fmt: skip
KEPT = "finished tasks are kept."
PROBLEMS: dict[Shortage, str] = {
    "disk": "no space left on the disk",
    "memory": "out of memory",
    "file size": "a file grew beyond the largest size that is allowed",
    "read-only": "the file system is read-only",
}


def shortage_of(error: BaseException) -> Shortage | None:
    """What an error says was missing; by its class and number, or by its words where a library has only words."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno in ERRNO:
        return ERRNO[error.errno]
    return shortage_in(str(error))


def shortage_in(text: str) -> Shortage | None:
    """The same of the output of a process that died."""
    return next((kind for kind, signs in SIGNS.items() if any(sign in text for sign in signs)), None)


def sentence(shortage: Shortage, message: str, *, folder: Path, workers: int) -> str:
    """The problem with what was reported of it, and what to do before the same command is run again."""
    fewer = f"fewer workers than {workers}" if workers > 1 else "a machine with more memory"
    remedies: dict[Shortage, str] = {
        "disk": f"Free space ({folder})",
        "memory": f"Use {fewer}, or raise the limit (ulimit -v)",
        "file size": "Raise the limit (ulimit -f)",
        "read-only": f"Make {folder} writable",
    }
    detail = f" ({' '.join(message.split())[:200]})" if message else ""
    return f"{PROBLEMS[shortage]}{detail}. {remedies[shortage]}, then run the same command again: {KEPT}"
