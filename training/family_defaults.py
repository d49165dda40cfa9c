"""Defaults of the `pretrain` section that follow from the model's family, filled in before it is validated."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError

from pipeline.core.config import Component, name_and_options
from training.families import FAMILIES


def family_first(value: Any) -> Any:
    """{family: gpt, layers: 4} is a component whose name is spelled `family`."""
    if isinstance(value, dict) and "family" in value:
        rest = {key: item for key, item in value.items() if key != "family"}
        return {"name": value["family"], **rest}
    return value


def filled(value: dict[str, Any]) -> dict[str, Any]:
    """Defaults that follow from the family."""
    try:
        name, given = _name_and_options(family_first(value.get("model", "gpt")))
    except PydanticCustomError:
        return value  # reported where the model itself is read
    known = FAMILIES.get(name)
    if known is None:
        return value
    options = ("objective", "optimizer", "schedule", "engine")
    firsts: dict[str, Any] = {name: getattr(known, f"{name}s")[0] for name in options}
    if name == "hf":  # which of the library's classes: the one of the objective
        objective, _ = _name_and_options(value.get("objective", "causal"))
        firsts["model"], value = {"hf": {**given, "head": objective}}, {k: v for k, v in value.items() if k != "model"}
    if known.vectors:
        firsts |= {"epochs": 5, "precision": "fp32"} if value.get("steps") is None else {"precision": "fp32"}
    return {**firsts, **value}


def _name_and_options(value: Any) -> tuple[str, dict[str, Any]]:
    return (value.name, value.options) if isinstance(value, Component) else name_and_options(value)
