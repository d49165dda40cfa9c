"""Presets: a published recipe by one word, `filters: fineweb`, which stands for its filters and its cleaners of lines.

A preset is written out when the YAML is read, so fingerprints and the resolved configuration contain the filters
themselves. `bloomery check` and `plan` show what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.core.checks import ConfiguredStage, Remark
from pipeline.core.files import JsonValue
from pipeline.core.registry import did_you_mean

DATATROVE: Mapping[str, JsonValue] = {"reading": "datatrove"}


@dataclass(frozen=True)
class Preset:
    """The filters of a recipe in their order, and the cleaners that edit its lines, after `unicode`."""

    filters: tuple[JsonValue, ...]
    cleaners: tuple[JsonValue, ...] = ()


PRESETS: Mapping[str, Preset] = {
    "gopher": Preset(("gopher_quality", "gopher_repetition")),
    "c4": Preset(("c4",), ("c4_lines",)),
    "fineweb": Preset(
        (
            {"gopher_repetition": {**DATATROVE}},
            {"gopher_quality": {**DATATROVE}},
            {"c4": {**DATATROVE, "end_mark": False}},
            "fineweb",
        ),
        ({"c4_lines": {**DATATROVE, "end_mark": False}},),
    ),
    "refinedweb": Preset(("refinedweb", "gopher_quality", "gopher_repetition"), ("refinedweb_lines",)),
    "chinese-web": Preset(
        (
            "length",
            "quality",
            "repetition",
            {"fineweb": {"reading": "paper"}},
            {"c4": {"end_mark": False, "min_sentences": {"zh": 3}}},
        ),
        ({"c4_lines": {"end_mark": False}}, "refinedweb_lines"),
    ),
}


def expand(values: object) -> object:
    """The options of the section `clean`, with a preset written out. Cleaners that the YAML names run first.

    Raises: ValueError for an unknown preset.
    """
    if not isinstance(values, dict) or not isinstance(values.get("filters"), str):
        return values
    name = values["filters"]
    if name not in PRESETS:
        raise ValueError(f"filters: unknown preset '{name}'. {did_you_mean(name, PRESETS)} For one filter: [{name}]")
    preset = PRESETS[name]
    cleaners = values.get("cleaners", ["unicode"])
    if isinstance(cleaners, list):
        named = {_name(cleaner) for cleaner in cleaners}
        cleaners = [*cleaners, *(cleaner for cleaner in preset.cleaners if _name(cleaner) not in named)]
    return {**values, "cleaners": cleaners, "filters": list(preset.filters)}


def _name(component: JsonValue) -> str:
    return str(next(iter(component)) if isinstance(component, dict) else component)


def show_preset(configured: ConfiguredStage) -> Iterator[Remark]:
    """Say what the preset in `clean` stands for."""
    section = configured.section
    filters = getattr(section, "filters", [])
    for name, preset in PRESETS.items():
        expanded = type(section).model_validate({"filters": list(preset.filters)})
        if filters and filters == getattr(expanded, "filters", None):
            cleaners = ", ".join(_show(component) for component in preset.cleaners) or "none"
            shown = ", ".join(_show(component) for component in preset.filters)
            yield Remark((*configured.path, "filters"), f"the preset {name}: filters {shown}; cleaners {cleaners}.")


def _show(component: JsonValue) -> str:
    if not isinstance(component, dict):
        return str(component)
    ((name, options),) = component.items()
    return f"{name} ({', '.join(f'{key}: {_scalar(value)}' for key, value in options.items())})"


def _scalar(value: JsonValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
