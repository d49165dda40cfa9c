"""Recognise a full disk and exhausted memory, whoever reports them: Python, Arrow, Polars, Beam or a C++ library."""

from __future__ import annotations

import errno
from typing import Literal

Shortage = Literal["disk", "memory"]

SIGNS: dict[Shortage, tuple[str, ...]] = {
    "disk": ("No space left on device", "Disk quota exceeded"),
    "memory": (
        "MemoryError", "bad_alloc", "Cannot allocate memory", "can't start new thread", "memory allocation of",
        "Unable to allocate", "failed to map segment",
    ),
}  # fmt: skip
ERRNO: dict[int | None, Shortage] = {errno.ENOSPC: "disk", errno.EDQUOT: "disk", errno.ENOMEM: "memory"}


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
