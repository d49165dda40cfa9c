"""The options of the filter `score`: limits of the scores that the stage `annotate` gave documents. Pydantic only.

An option is min_ or max_ and the name of an entry of `annotate`: `score: {min_quality: 0.5, max_surprise: {zh: 9}}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ConfigDict, model_validator

from pipeline.filters.limits import Limits, Thresholds, parse_limits

SCORE = "score"
SIDES = ("min_", "max_")


class ScoreThresholds(Thresholds):
    """Limits by entry of `annotate` and by language. A document without a score, or whose language has no limit, is
    kept, and counted as skipped."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Limits]

    @model_validator(mode="before")
    @classmethod
    def _read_limits(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        limits: dict[str, object] = {}
        for option, value in values.items():
            if not str(option).startswith(SIDES) or len(str(option)) == len(SIDES[0]):
                raise ValueError(
                    f"'{option}' is no limit; write min_NAME or max_NAME, with the name of an annotate entry"
                )
            limits[str(option)] = parse_limits(value)
        return limits

    @model_validator(mode="after")
    def _check_sides(self) -> ScoreThresholds:
        extra = self.model_extra or {}
        for option, low in extra.items():
            high = extra.get(f"max_{option[4:]}")
            if option.startswith("min_") and (conflict := self.conflict(low, high)) is not None:
                raise ValueError(f"{option} is {conflict[0]}, above max_{option[4:]} ({conflict[1]})")
        return self


def score_names(options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each option of the filter with the name of the entry that it reads; an entry may come twice."""
    return ((option, option[len(SIDES[0]) :]) for option in options)


def signal_of(name: str) -> str:
    """The signal that holds the scores of an entry."""
    return f"{SCORE}_{name}"
