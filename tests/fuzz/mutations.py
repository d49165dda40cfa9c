"""Damage to bytes: flipped bits, cuts, and ranges that are deleted, repeated, overwritten or inserted.

The same file, seed and number always give the same damage.
"""

from __future__ import annotations

import random

TOKENS = (
    b"\0",
    b"\n",
    b'"',
    b"\r",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"{",
    b"]",
    b",",
    b"\\",
    b"\xef\xbb\xbf",
)
MOST_STEPS = 3


def mutate(data: bytes, name: str, seed: int, number: int) -> bytes:
    """One to three steps of damage."""
    generator = random.Random(f"{seed}/{name}/{number}")
    for _ in range(generator.randint(1, MOST_STEPS)):
        data = _step(data, generator)
    return data


def _step(data: bytes, generator: random.Random) -> bytes:
    size = len(data)
    at = generator.randrange(size + 1)
    end = min(size, at + generator.choice((1, 2, 4, 16, 100, 1000)))
    match generator.choice(("flip", "flip", "byte", "cut", "delete", "repeat", "insert", "noise", "swap")):
        case "flip" if at < size:
            return data[:at] + bytes([data[at] ^ 1 << generator.randrange(8)]) + data[at + 1 :]
        case "byte" if at < size:
            return data[:at] + bytes([generator.randrange(256)]) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "delete":
            return data[:at] + data[end:]
        case "repeat":
            return data[:end] + data[at:end] + data[end:]
        case "insert":
            return data[:at] + generator.choice(TOKENS) + data[at:]
        case "noise":
            return data[:at] + generator.randbytes(end - at) + data[end:]
        case "swap":
            start = generator.randrange(size + 1)
            return data[:start] + data[at:end] + data[start:]
    return data
