"""Finds every path that a section names: the options of the type UserPath, at any depth, also those of components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel

from pipeline.core.config import Component, OptionsOf
from pipeline.core.files import expand_user
from pipeline.core.yaml_tree import PathOf


def user_paths(section: BaseModel, where: PathOf = ()) -> Iterator[tuple[PathOf, str]]:
    """(place in the YAML, value) of every path that a section names, in the order of its fields.

    The paths in the options of a plug-in are found if its options say UserPath.
    """
    for name, info in type(section).model_fields.items():
        yield from _paths(info.annotation, tuple(info.metadata), getattr(section, name), (*where, name))


def _paths(annotation: Any, metadata: tuple[object, ...], value: object, where: PathOf) -> Iterator[tuple[PathOf, str]]:
    """The paths in a value, by its annotation; `metadata` is what `Annotated` adds to it."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    if isinstance(value, Component):
        registries = [mark.registry for mark in metadata if isinstance(mark, OptionsOf)]
        for registry in registries[:1]:
            yield from user_paths(registry.section(value.name).model_validate(value.options), (*where, value.name))
    elif isinstance(value, BaseModel):
        yield from user_paths(value, where)
    elif isinstance(value, str):
        if any(isinstance(mark, AfterValidator) and mark.func is expand_user for mark in _marks(annotation, metadata)):
            yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _paths(_item(annotation), _inherited(metadata), item, (*where, str(key)))
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            yield from _paths(_item(annotation), _inherited(metadata), item, (*where, index))


def _item(annotation: Any) -> Any:
    """The annotation of the items of a list or mapping, also within a union."""
    for candidate in (annotation, *get_args(annotation)):
        if get_origin(candidate) in (list, tuple, dict):
            return get_args(candidate)[-1 if get_origin(candidate) is dict else 0]
    return object


def _marks(annotation: Any, metadata: tuple[object, ...]) -> list[object]:
    """The metadata of a value, with that of the members of a union."""
    members = [get_args(member)[1:] for member in get_args(annotation) if get_origin(member) is Annotated]
    return [*metadata, *(mark for member in members for mark in member)]


def _inherited(metadata: tuple[object, ...]) -> tuple[object, ...]:
    """What marks a list marks its items, but for its own validators."""
    return tuple(mark for mark in metadata if isinstance(mark, OptionsOf))
