"""From a component of the YAML to the object it stands for: a registered name, or a user's own "module:Class"."""

from __future__ import annotations

from typing import Any

from pipeline.core.config import Component, Section
from pipeline.core.registry import Registry


def make(component: Component, sections: Registry, classes: Registry, *more: Any) -> Any:
    """The class of `component`, given its options as their section and then `more`; imports it now."""
    kind = classes.load(component.name)
    section = sections.load(component.name) if component.name in sections.table else getattr(kind, "Options", Section)
    return kind(section.model_validate(component.options), *more)
