"""Which documents are copies of others, and which copy stays. Pure functions over columns and arrays; no Beam here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Entry, Registry

if TYPE_CHECKING:
    from pipeline.dedupe.base import Method

_OPTIONS = "pipeline.dedupe.section:Dedupe"

METHODS: Registry[Method] = Registry(
    "method",
    (
        Entry("exact", _OPTIONS, "pipeline.dedupe.exact:Exact"),
        Entry("normalized", _OPTIONS, "pipeline.dedupe.normalized:Normalized"),
        Entry("minhash", _OPTIONS, "pipeline.dedupe.minhash:MinHash"),
    ),
    base="pipeline.dedupe.base:Method",
    options=_OPTIONS,
)
