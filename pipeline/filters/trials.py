"""What a rule would drop with other limits, from the signals that were measured: seconds, and no stage runs.

The limits, and what a language without one means, are those of the stage `clean`; the result is what it would count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import yaml
from pydantic import ValidationError

from pipeline.core.artifact import Artifact
from pipeline.core.config import Component
from pipeline.core.errors import UserError
from pipeline.core.exploring import DroppedSample, RuleTrial, TrialGroup
from pipeline.core.registry import did_you_mean
from pipeline.filters import FILTERS
from pipeline.filters.base import Rule, build_filter
from pipeline.filters.limits import merge_limits
from pipeline.filters.measured_rows import RowGroup, row_groups, signal_names
from pipeline.filters.rules import KEPT, apply_rules, judged_by
from pipeline.filters.score_section import SCORE
from pipeline.filters.section import Clean

SAMPLES = 6
SAMPLES_OF_A_LANGUAGE = 2
SHOWN_CHARACTERS = 300


@dataclass
class _Tally:
    """The counts of a trial while row groups are read; keys are language and source."""

    documents: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    not_judged: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    samples: list[DroppedSample] = field(default_factory=list)
    now: int = 0
    new: int = 0


def try_rule(artifacts: Sequence[Artifact], section: Clean, assignment: str) -> RuleTrial:
    """Apply the rule with the limits of `assignment` to every document.

    Raises: UserError when there is no such rule, its value is no limit, or its signal was not measured.
    """
    rule = _rule_of(section, assignment)
    present = [
        each
        for component in section.filters
        for each in build_filter(FILTERS, component.name, component.options).rules()
    ]
    measured = signal_names(artifacts)
    if rule.signal not in measured:
        is_score = rule.name.startswith(f"{SCORE}.")
        hint = "Add the model to `annotate` and run it." if is_score else "Add the filter to `clean` and run signals."
        raise UserError(f"--rule {rule.name}: its signal {rule.signal} was not measured. {hint}")
    known = [each for each in present if each.signal in measured]
    before = next((each for each in known if each.name == rule.name), None)
    tally = _Tally()
    for group in row_groups(artifacts, [rule.signal, *(each.signal for each in known)]):
        _add(tally, group, rule, known, before)
    counts = tuple(
        TrialGroup(language, source, n, tally.dropped[language, source], tally.not_judged[language, source])
        for (language, source), n in sorted(
            tally.documents.items(), key=lambda item: (-tally.dropped[item[0]], -item[1], item[0][0] or "", item[0][1])
        )
    )
    return RuleTrial(
        rule.name, rule.signal, dict(rule.limits), tally.documents.total(), tally.dropped.total(),
        tally.now if before is not None else None, tally.new, counts, tuple(tally.samples),
    )  # fmt: skip


def _add(tally: _Tally, group: RowGroup, rule: Rule, present: Sequence[Rule], before: Rule | None) -> None:
    languages, signals = group.resolved()
    results = apply_rules([rule], signals, languages)
    fails = results.first != KEPT
    kept_now = apply_rules(present, signals, languages).first == KEPT
    has_limit = judged_by(rule, signals, languages)
    tally.now += int((apply_rules([before], signals, languages).first != KEPT).sum()) if before else 0
    tally.new += int((fails & kept_now).sum())
    keys = list(zip(languages, group.sources, strict=True))
    tally.documents.update(keys)
    tally.dropped.update(keys[row] for row in np.flatnonzero(fails).tolist())
    tally.not_judged.update(keys[row] for row in np.flatnonzero(~has_limit).tolist())
    rows = _sampled(tally, languages, np.flatnonzero(fails).tolist())
    if rows:
        texts = group.take(pa.array(rows)).to_pylist()
        for row, text in zip(rows, texts, strict=True):
            value, limit = float(results.value[row]), float(results.threshold[row])
            sample = DroppedSample(
                group.ids[row].as_py(), languages[row], group.sources[row], value, limit, text[:SHOWN_CHARACTERS]
            )
            tally.samples.append(sample)


def _sampled(tally: _Tally, languages: Sequence[str | None], fails: Sequence[int]) -> list[int]:
    """The first documents that the rule drops, a few of each language."""
    of_language = Counter(sample.language for sample in tally.samples)
    rows: list[int] = []
    for row in fails:
        if len(tally.samples) + len(rows) >= SAMPLES:
            break
        if of_language[languages[row]] < SAMPLES_OF_A_LANGUAGE:
            of_language[languages[row]] += 1
            rows.append(row)
    return rows


def _rule_of(section: Clean, assignment: str) -> Rule:
    """The rule that "filter.option=value" names, with these limits and otherwise the options of the run."""
    name, equals, text = assignment.partition("=")
    filter_name, _, option = name.strip().rpartition(".")
    if not equals or not filter_name:
        raise UserError(f"--rule {assignment}: write FILTER.OPTION=VALUE, as in quality.max_hash_signs=0.2")
    names = [*FILTERS.names(), *(component.name for component in section.filters)]
    if filter_name not in names:
        raise UserError(f"--rule {assignment}: there is no filter '{filter_name}'. {did_you_mean(filter_name, names)}")
    options = next((component.options for component in section.filters if component.name == filter_name), {})
    filter_section = FILTERS.section(filter_name)
    fields = filter_section.model_fields
    if option not in fields and filter_section.model_config.get("extra") != "allow":
        hint = did_you_mean(option, fields)
        raise UserError(f"--rule {assignment}: {filter_name} has no option '{option}'. {hint}")
    try:
        value = yaml.safe_load(text)
        if isinstance(value, dict):  # other languages keep the limits of the run
            value = merge_limits(options.get(option, {}), value)
        model = filter_section.model_validate({**options, option: value})
    except (ValidationError, ValueError, yaml.YAMLError) as error:
        reason = "it is not YAML" if isinstance(error, yaml.YAMLError) else str(error)
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else reason
        raise UserError(f"--rule {assignment}: {reason}. Write a number, or {{zh: 0.2, en: 0.1}}, or null") from None
    component = Component(name=filter_name, options=model.model_dump(mode="json"))
    rules = build_filter(FILTERS, component.name, component.options).rules()
    rule = next((rule for rule in rules if rule.name == f"{filter_name}.{option}"), None)
    if rule is None:
        options_of_rules = [rule.name.rpartition(".")[2] for rule in rules]
        hint = did_you_mean(option, options_of_rules)
        raise UserError(f"--rule {assignment}: {filter_name} has no rule of the name '{option}'. {hint}")
    return rule
