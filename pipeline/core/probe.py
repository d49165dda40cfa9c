"""Try a store behind a URL before any work."""

from __future__ import annotations

import secrets

from pipeline.core.errors import StageFailed, UserError
from pipeline.core.file_systems import scheme_of, sentence_of
from pipeline.core.objects import ObjectStore


def probe(url: str) -> str | None:
    """Write, read and delete an object; why that failed, in a few words."""
    objects, key = ObjectStore(url, tries=2), f"probe/{secrets.token_hex(8)}"
    try:
        objects.put(key, b"probe")
        complete = objects.read(key) == b"probe"
        objects.delete(key)
    except UserError as error:
        return str(error).rstrip(".")
    except (StageFailed, FileNotFoundError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        return sentence_of(cause, scheme_of(url))
    return None if complete else "an object was not what had been written"
