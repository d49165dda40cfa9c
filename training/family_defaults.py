"""Defaults of the `pretrain` section that follow from the model's family, filled in before it is validated."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

from pipeline.core.config import Component, name_and_options
from pipeline.core.files import JsonObject, JsonValue
from training.families import FAMILIES


def family_as_name(value: JsonValue) -> JsonValue:
    """{family: gpt, layers: 4} is a component whose name is spelled `family`."""
    if isinstance(value, dict) and "family" in value:
        options = {key: option for key, option in value.items() if key != "family"}
        return {"name": value["family"], **options}
    return value


def fill_family_defaults(value: JsonObject) -> JsonObject:
    """The section with the defaults of its family."""
    try:
        name, model_options = _name_and_options(family_as_name(value.get("model", "gpt")))
    except PydanticCustomError:
        return value  # reported where the model itself is read
    family = FAMILIES.get(name)
    if family is None:
        return value
    options = ("objective", "optimizer", "schedule", "engine")
    defaults: JsonObject = {option: getattr(family, f"{option}s")[0] for option in options}
    if name == "hf":  # the class of the library follows from the objective
        objective, _ = _name_and_options(value.get("objective", "causal"))
        defaults["model"] = {"hf": {**model_options, "head": objective}}
        value = {key: option for key, option in value.items() if key != "model"}
    if family.vectors:
        defaults |= {"epochs": 5, "precision": "fp32"} if value.get("steps") is None else {"precision": "fp32"}
    return {**defaults, **value}


def _name_and_options(value: JsonValue) -> tuple[str, JsonObject]:
    return (value.name, value.options) if isinstance(value, Component) else name_and_options(value)
