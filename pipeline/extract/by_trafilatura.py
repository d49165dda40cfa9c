"""Main text by trafilatura: the best on real pages, and slow. Cost: see tests/benchmarks/bench_extract.py."""

from __future__ import annotations

import trafilatura

from pipeline.extract.base import Extractor
from pipeline.extract.section import Trafilatura as Section


class Trafilatura(Extractor[Section]):
    """Extracts paragraphs, headings, lists and tables; comments of readers are left out."""

    def extract(self, html: str) -> str:
        options = self.options
        return trafilatura.extract(
            html,
            fast=options.fast,
            favor_precision=options.favor == "precision",
            favor_recall=options.favor == "recall",
            include_comments=False,
            include_tables=options.tables,
            deduplicate=False,  # it would depend on the pages before
        ) or ""  # fmt: skip
