"""What a cleaner may be told in YAML. Pydantic alone, so that `check` and `plan` stay light."""

from __future__ import annotations

from pipeline.core.config import Section


class Unicode(Section):
    """Normal form C, controls removed, line ends and white space in order; no options."""
