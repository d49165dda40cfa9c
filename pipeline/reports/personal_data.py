"""Personal data in a report: how often each kind was found, by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core import figures
from pipeline.core.counts import summed
from pipeline.core.files import JsonValue
from pipeline.core.report import Chapter, Column, Done, ReportedStep, ReportTable, TableCell

CHAPTER = "personal-data"
MOST_LANGUAGES = 8  # columns; the others are in one


def personal_data(steps: Sequence[ReportedStep]) -> tuple[Chapter, ...]:
    """The chapter, where the cleaner `pii` ran."""
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    counts = summed(artifact.manifest.counts.get("pii", {}) for artifact in artifacts)
    if not counts:
        return ()
    params = artifacts[0].manifest.params
    totals = {kind: sum(by_language.values()) for kind, by_language in counts.items()}
    languages = _frequent(counts)
    columns = (Column("kind"), Column("found", figures=True), *(Column(name, figures=True) for name in languages))
    rows: list[tuple[TableCell | str, ...]] = []
    for kind, total in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        if total:
            found_in = _by_language(counts[kind], languages)
            rows.append((TableCell(kind, "mono"), figures.count(total), *found_in, _action(params, kind)))
    table = ReportTable((*columns, Column("what was done")), tuple(rows))
    note = "Matches of the cleaner pii, before documents were dropped. A match that was replaced is a placeholder now."
    return (Chapter(CHAPTER, "Personal data", (table,), note=note, of_data=True),)


def personal_data_done(steps: Sequence[ReportedStep]) -> tuple[Done, ...]:
    """A line of the data card: how many matches there were, and what was done with them."""
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    actions: dict[str, int] = {}
    kinds: set[str] = set()
    for artifact in artifacts:
        for kind, by_language in artifact.manifest.counts.get("pii", {}).items():
            action = _action(artifact.manifest.params, kind)
            actions[action] = actions.get(action, 0) + sum(by_language.values())
            kinds.add(kind)
    if not actions:
        return ()
    amounts = ", ".join(f"{action} {figures.count(n)}" for action, n in sorted(actions.items()))
    return (Done(f"personal data of {figures.plural(len(kinds), 'kind')}: {amounts}", CHAPTER),)


def _frequent(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    totals: dict[str, int] = {}
    for by_language in counts.values():
        for language, number in by_language.items():
            totals[language] = totals.get(language, 0) + number
    ordered = sorted(totals, key=lambda language: (-totals[language], language))
    return ordered if len(ordered) <= MOST_LANGUAGES else [*ordered[: MOST_LANGUAGES - 1], "others"]


def _by_language(counts: Mapping[str, int], languages: Sequence[str]) -> list[str]:
    named = [counts.get(language, 0) for language in languages]
    if languages and languages[-1] == "others":
        named[-1] = sum(counts.values()) - sum(named[:-1])
    return [figures.count(number) if number else "" for number in named]


def _action(params: Mapping[str, JsonValue], kind: str) -> str:
    options: Mapping[str, JsonValue] = next(
        (entry["options"] for entry in params.get("cleaners", ()) if entry["name"] == "pii"), {}
    )
    return {"replace": "replaced", "drop": "document dropped", "count": "counted"}[
        options.get("actions", {}).get(kind, options.get("action", "replace"))
    ]
