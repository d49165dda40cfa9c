"""The YAML sections of cleaners. This file imports only pydantic, so that `check` and `plan` start quickly."""

from __future__ import annotations

from pipeline.core.config import Section


class Unicode(Section):
    """Normal form C, control characters removed, line endings and white space cleaned. It has no options."""
