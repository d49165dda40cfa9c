"""The options of the objectives (pydantic only)."""

from __future__ import annotations

from pipeline.core.config import Section


class Causal(Section):
    """Predict each token from those before it in its row; no options."""
