"""Limits of every rule by language, derived from real text in the manner of FineWeb-2: relative to another language.

If 0.4 % of the English documents are beyond the limit for English, the limit for French is the value beyond which 0.4 %
of the French documents would be. Where the limit lies far outside the values of the reference, its distance from their
median is transferred, in units of the distance of their tail. Few documents do not reach far into the tail: there it is
extrapolated as if it were exponential, and a limit is never stricter than that of the reference (than that of Chinese,
for other languages counted by character), because a few texts of one kind say what is normal and not what is too much.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.exploring import FittedBound
from pipeline.filters import FILTERS
from pipeline.filters.base import Floats, Rule, build_filter
from pipeline.filters.distributions import MOST_DOCUMENTS
from pipeline.filters.limits import CHARACTERS, WORDS, limit_key
from pipeline.filters.measured_rows import RowGroup, documents_of, row_groups, signal_names
from pipeline.filters.rules import group_documents
from pipeline.filters.section import Clean

LEAST_DOCUMENTS = 30
FEW_DOCUMENTS = 1000
RAREST = 0.001  # a share of the reference below it is not known any better
DIGITS = 3  # significant ones of a bound


class LanguageValues:
    """The signals of the documents of a language, its unit, and how many documents came from which source."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.sources: Counter[str] = Counter()
        self.blocks: dict[str, list[Floats]] = defaultdict(list)

    def values(self, signal: str) -> Floats:
        joined = np.concatenate(self.blocks[signal])
        return joined[~np.isnan(joined)]


def fit_bounds(artifacts: Sequence[Artifact], section: Clean, reference: str) -> tuple[FittedBound, ...]:
    """A bound for each rule of the configuration that has limits, and each language with LEAST_DOCUMENTS or more.

    Raises: UserError when the reference language has fewer.
    """
    measured = set(signal_names(artifacts))
    rules = [rule for rule in rules_of(section) if rule.keep is None and rule.signal in measured]
    languages = collect_values(artifacts, [rule.signal for rule in rules])
    if reference not in languages:
        counts = ", ".join(f"{name} {values.sources.total()}" for name, values in languages.items()) or "none"
        raise UserError(
            f"--fit: {reference} has fewer than {LEAST_DOCUMENTS} documents in this run, so nothing can be derived "
            f"relative to it. Languages with enough: {counts}"
        )
    return tuple(bounds_of(rules, languages, reference))


def rules_of(section: Clean) -> list[Rule]:
    """All rules of the configuration, in their order."""
    return [
        rule
        for component in section.filters
        for rule in build_filter(FILTERS, component.name, component.options).rules()
    ]


def collect_values(artifacts: Sequence[Artifact], signals: Sequence[str]) -> dict[str, LanguageValues]:
    """The languages with LEAST_DOCUMENTS documents or more; a text that contradicts its tag belongs to none."""
    languages: dict[str, LanguageValues] = {}
    step = max(1, -(-documents_of(artifacts) // MOST_DOCUMENTS))
    for group in row_groups(artifacts, signals, step=step):
        _collect(languages, group, signals)
    enough = {name: values for name, values in languages.items() if values.sources.total() >= LEAST_DOCUMENTS}
    return dict(sorted(enough.items(), key=lambda item: (-item[1].sources.total(), item[0])))


def _collect(languages: dict[str, LanguageValues], group: RowGroup, signals: Sequence[str]) -> None:
    tags, measured = group.resolved()
    groups, group_of = group_documents(tags, measured["own_units"])
    for number, (language, unit) in enumerate(groups):
        if language is None or language.startswith("und"):
            continue
        rows = np.flatnonzero(group_of == number)
        values = languages.setdefault(language, LanguageValues(unit))
        values.sources.update(group.sources[row] for row in rows.tolist())
        for signal in dict.fromkeys(signals):
            values.blocks[signal].append(measured[signal][rows])


def bounds_of(rules: Sequence[Rule], languages: dict[str, LanguageValues], reference: str) -> Iterator[FittedBound]:
    """The bounds of every rule and language but the reference."""
    of_reference = languages[reference]
    for rule in rules:
        key = limit_key(rule.limits, reference, of_reference.unit)
        limit = None if key is None else rule.limits[key]
        known = _Tail(of_reference.values(rule.signal), rule.side)
        if limit is None or not known.is_known:
            continue
        share = known.share_beyond(limit)
        for name, values in languages.items():
            tail = _Tail(values.values(rule.signal), rule.side)
            if name == reference or not tail.is_known:
                continue
            bound = known.transferred(limit, tail)
            if len(tail.ordered) < FEW_DOCUMENTS:
                bound = _looser(bound, limit if values.unit == WORDS else _limit_of_chinese(rule), rule.side)
            number = values.sources.total()
            yield FittedBound(rule.name, name, _rounded(bound), number, tuple(sorted(values.sources)), share)


class _Tail:
    """The values of a signal, ordered so that a rule drops the largest: those of a minimum with their sign changed."""

    def __init__(self, values: Floats, side: str) -> None:
        self.sign = -1.0 if side == "min" else 1.0
        self.ordered = np.sort(self.sign * values)
        self.is_known = len(values) >= LEAST_DOCUMENTS
        self.median = float(np.median(self.ordered)) if len(values) else math.nan

    def share_beyond(self, limit: float) -> float:
        return float((self.ordered > self.sign * limit).mean())

    def at(self, share: float) -> float:
        """The value beyond which this share is; extrapolated where there are too few values."""
        if share * len(self.ordered) >= 1:
            return float(np.quantile(self.ordered, 1 - share, method="higher"))
        reach = math.log(0.5 / share) / math.log(0.5 * len(self.ordered))
        return self.median + (float(self.ordered[-1]) - self.median) * reach

    def transferred(self, limit: float, target: _Tail) -> float | None:
        """The limit for another language, whose values are `target`; None where they say nothing about it,
        infinite where nothing could be beyond it."""
        share = self.share_beyond(limit)
        bound = target.at(max(share, RAREST))
        reach = self.at(RAREST) - self.median
        if share < RAREST and reach > 0:
            factor = max(1.0, (self.sign * limit - self.median) / reach)
            bound = target.median + factor * (bound - target.median)
        is_share = self.sign > 0 and max(self.ordered[-1], target.ordered[-1]) <= 1
        if bound == target.median:
            return None
        unlimited = (self.sign < 0 and bound >= 0) or (is_share and bound >= 1)
        return self.sign * (math.inf if unlimited else bound)


def _looser(bound: float | None, limit: float | None, side: str) -> float | None:
    """The looser of a bound and a limit; None if the limit is off."""
    if bound is None or limit is None:
        return limit
    return min(bound, limit) if side == "min" else max(bound, limit)


def _limit_of_chinese(rule: Rule) -> float | None:
    key = limit_key(rule.limits, "zh", CHARACTERS)
    return None if key is None else rule.limits[key]


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else float(f"{value:.{DIGITS}g}")


def as_yaml(bounds: Sequence[FittedBound], section: Clean) -> str:
    """The filters of the configuration with these bounds, for `clean`; comments say what they were derived from."""
    languages = {bound.language: bound for bound in bounds}
    lines = [
        f"# {name}: {bound.documents:,} documents of {', '.join(bound.sources)}" for name, bound in languages.items()
    ]
    lines.append("filters:")
    for component in section.filters:
        rules = list(build_filter(FILTERS, component.name, component.options).rules())
        own = {
            rule.name: {b.language: b.bound for b in bounds if b.rule == rule.name and b.bound is not None}
            for rule in rules
        }
        fitted = [rule for rule in rules if own[rule.name]]
        lines.append(f"  - {component.name}:" if fitted else f"  - {component.name}")
        for rule in fitted:
            present = {key: limit for key, limit in rule.limits.items() if key not in own[rule.name]}
            pairs = ", ".join(f"{key}: {_scalar(limit)}" for key, limit in {**present, **own[rule.name]}.items())
            lines.append(f"      {rule.name.rpartition('.')[2]}: {{{pairs}}}")
    return "\n".join(lines) + "\n"


def _scalar(value: float | None) -> str:
    return json.dumps(value)
