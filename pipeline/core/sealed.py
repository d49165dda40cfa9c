"""JSON that proves its own bytes: what came over a network damaged or cut is never taken for what was written."""

from __future__ import annotations

import json

from pipeline.core.files import JsonObject, canonical_json, sha256_bytes

SEAL = "sha256_of_this"


def sealed(value: JsonObject) -> bytes:
    """JSON with the hash of itself."""
    digest = sha256_bytes(canonical_json(value))
    return (json.dumps({**value, SEAL: digest}, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def unsealed(data: bytes) -> JsonObject | None:
    """The value of `sealed`; None if a byte of it changed on the way."""
    try:
        value: JsonObject = json.loads(data)
        digest = value.pop(SEAL)
    except (ValueError, KeyError, AttributeError):
        return None
    return value if sha256_bytes(canonical_json(value)) == digest else None
