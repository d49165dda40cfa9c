"""A stage of a run as the data card sees it: the counts of its steps, and sums of them by source and language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.core.counts import BySource, DroppedBy, Measures, RecordCounts, SourceCounts, StageCounts
from pipeline.core.drop_counts import merged_drops
from pipeline.core.report import Done, StageReport
from pipeline.core.source_counts import merged


@dataclass(frozen=True)
class DataStage:
    """A stage whose artifacts are about documents: the counts of its steps, a summary of each, and its report."""

    name: str
    makes: str
    parts: tuple[StageCounts, ...]
    summaries: tuple[str, ...]
    report: StageReport

    @property
    def counts_sources(self) -> bool:
        """Whether it makes the documents themselves, or tokens of them."""
        return self.makes in ("documents", "tokens")

    @property
    def done(self) -> tuple[Done, ...]:
        """What it did: as its report says, else the summary of each step."""
        return self.report.done or tuple(Done(text) for text in self.summaries)

    @cached_property
    def sources(self) -> BySource:
        """What it made, by source and language; empty where a part is of an earlier version."""
        counted = [part["sources"] for part in self.parts if "sources" in part]
        return merged(counted) if len(counted) == len(self.parts) else {}

    @cached_property
    def dropped(self) -> DroppedBy | None:
        """Documents that it dropped, by reason; None where a part of an earlier version dropped some uncounted."""
        uncounted = [part for part in self.parts if "dropped_by" not in part and "records_by_source" not in part]
        if any(sum(part.get("dropped", {}).values()) for part in uncounted):
            return None
        return merged_drops(part.get("dropped_by", {}) for part in self.parts)

    @cached_property
    def records(self) -> dict[str, RecordCounts]:
        """The records of raw files by source, all parts together; empty for a stage that reads none."""
        total: dict[str, RecordCounts] = {}
        for part in self.parts:
            for source, records in part.get("records_by_source", {}).items():
                of_source = total.setdefault(source, {"records": 0, "quarantined": {}, "skipped": {}})
                of_source["records"] += records["records"]
                add(of_source["quarantined"], records["quarantined"])
                add(of_source["skipped"], records["skipped"])
        return total

    @property
    def lost_records(self) -> dict[str, dict[str, int]]:
        """Reason → source → records that became no document."""
        reasons: dict[str, dict[str, int]] = {}
        for source, records in self.records.items():
            lost = {f"quarantined: {name}": n for name, n in records["quarantined"].items()}
            lost |= {f"no document: {name}": n for name, n in records["skipped"].items()}
            for reason, number in lost.items():
                reasons.setdefault(reason, {})[source] = number
        return reasons

    @property
    def documents(self) -> int:
        """The number of documents that it made or encoded."""
        return sum(part.get("out", 0) for part in self.parts)

    def lost(self) -> int:
        """The number of records or documents that it dropped or quarantined."""
        return sum(sum(part.get("dropped", {}).values()) + part.get("quarantined", 0) for part in self.parts)


def by_language(sources: BySource) -> dict[str, Measures]:
    """Measures by language, of all sources."""
    total: dict[str, Measures] = {}
    for counts in sources.values():
        for language, measures in counts["languages"].items():
            add(total.setdefault(language, {}), measures)
    return total


def by_source(sources: BySource) -> dict[str, Measures]:
    """Measures by source, of all languages."""
    return {source: summed(counts) for source, counts in sources.items()}


def summed(counts: SourceCounts) -> Measures:
    """Measures of a source, of all its languages."""
    total: Measures = {}
    for measures in counts["languages"].values():
        add(total, measures)
    return total


def add(total: Measures, measures: Mapping[str, int]) -> None:
    """Add measures to a total."""
    for name, value in measures.items():
        total[name] = total.get(name, 0) + value
