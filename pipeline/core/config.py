"""From a YAML tree to typed sections: every mistake is found at once and told with its line.

A section is a frozen pydantic model that lives beside its component and imports nothing heavy. A component (a filter,
an engine, a task) is written as a name, as {name: {options}}, or as {name: x, option: …}; its options are a section.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from pipeline.core.errors import ConfigError, UserError
from pipeline.core.files import expand_user
from pipeline.core.registry import Registry, did_you_mean
from pipeline.core.yaml_tree import PathOf, YamlTree

M = TypeVar("M", bound=BaseModel)
UserPath = Annotated[str, Field(min_length=1), AfterValidator(expand_user)]
"""A path as it is written in the YAML; `~` at its beginning is the home folder."""


class Section(BaseModel):
    """The base of every section: frozen, unknown keys are errors, defaults are checked too.

    `ADDED` names options that came after the first artifacts, with the value that means what was done before: while
    they have it they are left out of what is written down, so that no fingerprint changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
    ADDED: ClassVar[dict[str, Any]] = {}

    @model_validator(mode="after")
    def _least_below_most(self) -> Self:
        """Of two options min_x and max_x the first is not above the second: nothing could be between them."""
        inner = []
        for low in type(self).model_fields:
            high = f"max_{low[4:]}"
            if not low.startswith("min_") or high not in type(self).model_fields:
                continue
            if conflict := self.conflict(getattr(self, low), getattr(self, high)):
                least, most = conflict
                inner.append(((low,), f"is {least}, above {high} ({most}): nothing lies between them.", ""))
        if inner:
            raise PydanticCustomError("component", "{what}", {"what": "wrong options", "inner": inner})
        return self

    def conflict(self, low: Any, high: Any) -> tuple[Any, Any] | None:
        """The values of min_x and max_x if the first is above the second; None if not, or if one is not set."""
        numbers = isinstance(low, int | float) and isinstance(high, int | float)
        return (low, high) if numbers and low > high else None

    @model_serializer(mode="wrap")
    def _without_neutral(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        return {key: value for key, value in found.items() if key not in self.ADDED or value != self.ADDED[key]}


class Component(Section):
    """A chosen alternative and its options, defaults filled. Serialises as `name` or {name: options}."""

    name: str
    options: dict[str, Any] = {}

    @model_serializer
    def _plain(self) -> Any:
        return {self.name: self.options} if self.options else self.name


@dataclass(frozen=True)
class NamesAlternative:
    """Marks a field whose value is the name of an alternative; its options stand beside it."""


def alternative(registry: Registry[Any]) -> Any:
    """The type of a field that names one alternative of a registry, or a user's own as "module:Class"."""

    def known(name: str) -> str:
        try:
            return registry.known(name)
        except UserError as error:
            raise PydanticCustomError("component", "{what}", {"what": str(error)}) from error

    return Annotated[str, AfterValidator(known), NamesAlternative()]


def component(registry: Registry[Any]) -> Any:
    """The type of a field that takes one alternative of a registry with its options, or a user's own."""
    return Annotated[Component, BeforeValidator(_normalise(registry))]


def _normalise(registry: Registry[Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, Component):
            return value
        name, options = name_and_options(value)
        try:
            section = registry.section(name)
        except UserError as error:
            raise PydanticCustomError("component", "{what}", {"what": str(error)}) from error
        return Component(name=name, options=checked(section, options, name=name).model_dump(mode="json"))

    return read


def checked(section: type[M], options: Any, *, name: str) -> M:
    """Validate options that lie within a validator of another section: every mistake keeps its own path."""
    try:
        return section.model_validate(options)
    except ValidationError as error:
        raise PydanticCustomError(
            "component", "{what}", {"what": "wrong options", "inner": _details(error, section), "name": name}
        ) from error


def name_and_options(value: Any) -> tuple[str, dict[str, Any]]:
    """A component as it is written, in any of its spellings."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        rest = {key: item for key, item in value.items() if key != "name"}
        inner = rest.pop("options", {}) if set(rest) == {"options"} else rest
        return value["name"], dict(inner or {})
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        if options is None or isinstance(options, dict):
            return str(name), dict(options or {})
    raise PydanticCustomError("component", "{what}", {"what": "write a name, or one name with its options below it."})


def _details(error: ValidationError, model: type[BaseModel]) -> list[tuple[PathOf, str, str]]:
    """Every error as (path, what, hint); nested component errors unfolded."""
    found: list[tuple[PathOf, str, str]] = []
    for detail in error.errors(include_url=False):
        path: PathOf = tuple(detail["loc"])
        inner = detail.get("ctx", {}).get("inner")
        if inner is not None:
            found += [((*path, *below), what, hint) for below, what, hint in inner]
        else:
            found.append((path, *_words(detail, path, model)))
    return found


def _words(detail: ErrorDetails, path: PathOf, model: type[BaseModel]) -> tuple[str, str]:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return "unknown key.", did_you_mean(str(path[-1]), _fields_at(model, path[:-1]))
    if kind == "missing":
        return "is missing.", ""
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("component", "value_error"):
        return text if text.endswith((".", "?")) else f"{text}.", ""
    shown = repr(detail["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    return f"should be {text}, is {shown}.", ""


def _fields_at(model: type[BaseModel], path: PathOf) -> list[str]:
    kind: Any = model
    for part in path:
        if isinstance(part, str) and isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(part)
            kind = _model_in(field.annotation) if field else None
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and not get_origin(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, dict, Annotated):
        for argument in get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None


def problems_of(tree: YamlTree, model: type[M]) -> M | None:
    """Validate a tree; mistakes go to `tree.problems`, the model comes back when there is none."""
    data = {} if tree.data is None else tree.data
    if not isinstance(data, dict):
        tree.problem((), "should be a mapping of sections.")
        return None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for path, what, hint in _details(error, model):
            tree.problem(path, what, hint)
        return None


def validate(tree: YamlTree, model: type[M], extra: Sequence[Callable[[M, YamlTree], None]] = ()) -> M:
    """The typed configuration, after cross-checks that add to `tree.problems`.

    Raises: ConfigError with all problems.
    """
    found = problems_of(tree, model)
    if found is not None:
        for check in extra:
            check(found, tree)
    if found is None or tree.problems:
        raise ConfigError.of(tree.problems)
    return found
