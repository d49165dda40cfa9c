"""`signals`: the measured signals, what a rule would drop, and limits derived from the text of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.config import load as load_config
from cluster.program import program
from cluster.run import Run, artifacts_of, find
from cluster.sections import stage_table
from cluster.table import table
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.exploring import QUANTILES, Distribution, Distributions, Explorer, RuleTrial, bars
from pipeline.core.registry import did_you_mean, load
from pipeline.core.stage import StageSpec
from pipeline.core.store import Store

LANGUAGES, GROUPS = 3, 20  # shown at most, unless one is named
SHOWN = (0.0, 0.01, 0.5, 0.99, 1.0)  # of QUANTILES


def signals(
    workdir: Path, name: str | None, *, rules: Sequence[str], fit: bool, reference: str, language: str | None,
    by_source: bool, as_json: bool,
) -> None:  # fmt: skip
    """Print the distributions, or the trials of rules, or the fitted bounds; as tables, YAML or JSON.

    Raises: UserError when the run has measured no signals, or a rule or a language does not exist.
    """
    if fit and rules:
        raise UserError("signals: give either --rule or --fit.")
    run = find(workdir, name)
    spec, artifacts = _measured(run, Store(run.workdir))
    explorer: Explorer = load(str(spec.explorer))()
    if fit:
        section = _section(run, spec)
        bounds = explorer.fit(artifacts, section, reference)
        rows = ",\n".join(json.dumps(asdict(bound), ensure_ascii=False) for bound in bounds)
        print(f"[\n{rows}\n]\n" if as_json else explorer.as_yaml(bounds, section), end="")
    elif rules:
        trials = [explorer.trial(artifacts, _section(run, spec), rule) for rule in rules]
        if as_json:
            print(json.dumps([asdict(trial) for trial in trials], ensure_ascii=False))
        else:
            print("\n\n".join(map(_trial_text, trials)))
    else:
        distributions = explorer.distributions(artifacts)
        if as_json:
            print(json.dumps({"quantiles": QUANTILES, **asdict(distributions)}, ensure_ascii=False))
        else:
            _print_distributions(distributions, language, by_source=by_source)


def _measured(run: Run, store: Store) -> tuple[StageSpec, list[Artifact]]:
    """The stage that measures, what its steps published, and the published scores of the same documents."""
    specs = {spec.name: spec for spec in stage_table() if spec.explorer is not None}
    published = artifacts_of(run, store)
    steps = [step for step in run.plan() if step.stage in specs]
    artifacts = [published[step.id] for step in steps if step.id in published]
    if not artifacts or len(artifacts) < len(steps):
        raise UserError(
            f"{run.path.name} has not measured all its signals yet. Run the stage with: "
            f"{program()} run {run.path}/config.yaml --to {next(iter(specs), 'signals')}"
        )
    scores = [published[step.id] for step in run.plan() if step.makes == "annotations" and step.id in published]
    return specs[steps[0].stage], [*artifacts, *scores]


def _section(run: Run, spec: StageSpec) -> Any:
    return getattr(load_config(run.path / "config.yaml").config, spec.section)


def _print_distributions(distributions: Distributions, language: str | None, *, by_source: bool) -> None:
    """A table for each language, or of the one that is named."""
    tags = list(dict.fromkeys(row.language for row in distributions.rows))
    names = [tag or "unknown" for tag in tags]
    if language is not None and language not in names:
        raise UserError(f"--language {language}: the run has no document of it. {did_you_mean(language, names)}")
    shown = names[:LANGUAGES] if language is None else [language]
    examined = f", of which {figures.count(distributions.examined)} were looked at"
    more = examined if distributions.examined < distributions.documents else ""
    print(f"{figures.count(distributions.documents)} documents{more}, {figures.plural(len(names), 'language')}.")
    for tag in shown:
        rows = [row for row in distributions.rows if (row.language or "unknown") == tag]
        for source in dict.fromkeys(row.source for row in rows):
            if source is None or by_source:
                print("\n" + _distribution_text([row for row in rows if row.source == source]))
    if hidden := names[len(shown) :] if language is None else []:
        print(f"\nand {figures.plural(len(hidden), 'language')}: {', '.join(hidden)}. Show one with --language.")


def _distribution_text(rows: Sequence[Distribution]) -> str:
    first = rows[0]
    title = (first.language or "unknown") + (f", {first.source}" if first.source else "")
    header = ["signal", *("min" if q == 0 else "max" if q == 1 else f"{100 * q:g} %" for q in SHOWN), "histogram"]
    lines = [
        [row.signal, *(_value(row, quantile) for quantile in SHOWN), bars(row.histogram)]
        for row in rows
        if row.measured
    ]
    return f"{title}: {figures.plural(first.documents, 'document')}\n{table(header, lines)}"


def _value(row: Distribution, quantile: float) -> str:
    return figures.significant(row.quantiles[QUANTILES.index(quantile)])


def _trial_text(trial: RuleTrial) -> str:
    limits = ", ".join(f"{key} {'off' if limit is None else f'{limit:g}'}" for key, limit in trial.limits.items())
    now = (
        "the run has no such rule"
        if trial.dropped_now is None
        else f"{figures.count(trial.dropped_now)} with the limits of the run"
    )
    lines = [
        f"{trial.rule} ({limits or 'by language'})",
        f"drops {figures.count(trial.dropped)} of {figures.count(trial.documents)} documents "
        f"({figures.percent(trial.dropped, trial.documents)}); {now}; "
        f"{figures.count(trial.dropped_new)} of them are kept by all rules of the run.",
    ]
    groups = [group for group in trial.groups if group.dropped or group.not_judged][:GROUPS]
    rows = [
        [group.language or "unknown", group.source, figures.count(group.documents), figures.count(group.dropped),
         figures.percent(group.dropped, group.documents), figures.count(group.not_judged)]
        for group in groups
    ]  # fmt: skip
    if rows:
        lines.append(table(["language", "source", "documents", "dropped", "share", "not judged"], rows))
    for sample in trial.samples:
        note = f"{trial.signal} {figures.significant(sample.value)}, limit {figures.significant(sample.limit)}"
        lines.append(f"  {sample.id[:12]} {sample.language or 'unknown'}, {sample.source}: {note}")
        lines.append(f"    {' '.join(sample.text.split())[:110]}")
    return "\n".join(lines)
