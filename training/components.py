"""From a component of the YAML to the object it stands for: a registered name, or a user's own "module:Class"."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pipeline.core.config import Component, Section
from pipeline.core.registry import Registry


def options_of(component: Component, sections: Registry) -> BaseModel:
    """A component's options as their section; those of a user's own class are its `Options`."""
    target = sections.load(component.name)
    if not (isinstance(target, type) and issubclass(target, BaseModel)):
        target = getattr(target, "Options", Section)
    options: BaseModel = target.model_validate(component.options)
    return options


def create(component: Component, sections: Registry, classes: Registry, *more: Any) -> Any:
    """The object of `component`, given its options as their section and then `more`; imports its class now.

    Where the class is a section itself, that section is the object.
    """
    options, kind = options_of(component, sections), classes.load(component.name)
    return options if isinstance(options, kind) else kind(options, *more)
