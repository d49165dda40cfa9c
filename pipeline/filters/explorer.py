"""What `bloomery signals` asks of the stage `signals` (`pipeline.core.exploring`)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.artifact import Artifact
from pipeline.core.exploring import Distributions, FittedBound, RuleTrial
from pipeline.filters.distributions import distributions_of
from pipeline.filters.fitting import as_yaml, fit_bounds
from pipeline.filters.section import Clean
from pipeline.filters.trials import try_rule


class SignalExplorer:
    """Reads the signals of documents; the methods are those of the protocol `Explorer`."""

    def distributions(self, artifacts: Sequence[Artifact]) -> Distributions:
        return distributions_of(artifacts)

    def trial(self, artifacts: Sequence[Artifact], section: Clean, assignment: str) -> RuleTrial:
        return try_rule(artifacts, section, assignment)

    def fit(self, artifacts: Sequence[Artifact], section: Clean, reference: str) -> tuple[FittedBound, ...]:
        return fit_bounds(artifacts, section, reference)

    def as_yaml(self, bounds: Sequence[FittedBound], section: Clean) -> str:
        return as_yaml(bounds, section)
