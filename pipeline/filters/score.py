"""score: limits of the scores that models gave (the stage `annotate`); the scores are signals like any other."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters.base import Filter, Rule
from pipeline.filters.score_section import ScoreThresholds, score_names, signal_of


class ScoreLimits(Filter):
    """A rule for each limit, in their order."""

    Options = ScoreThresholds

    def rules(self) -> Sequence[Rule]:
        return [self.rule(option, signal_of(name)) for option, name in score_names(self.options.model_extra or {})]
