"""Turns a YAML tree into typed sections: all mistakes are reported at once, each with its line.

A section is a frozen pydantic model that is defined beside its component and imports nothing heavy. A component (a
filter, an engine, a task) is written as a name, as {name: {options}}, or as {name: x, option: …}; its options are a
section.
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
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from pipeline.core.errors import ConfigError, UserError
from pipeline.core.files import JsonObject, JsonValue, expand_user
from pipeline.core.registry import Registry, did_you_mean
from pipeline.core.yaml_tree import PathOf, YamlTree

M = TypeVar("M", bound=BaseModel)
UserPath = Annotated[str, Field(min_length=1), AfterValidator(expand_user)]
"""A path in the YAML; a leading `~` is expanded to the home folder."""
VALUE, MAPPING = "<value>", "<mapping>"
"""Tags of the two members of a union of a plain value and a section (`VALUE_OR_SECTION`)."""
VALUE_OR_SECTION = Discriminator(lambda value: MAPPING if isinstance(value, dict | BaseModel) else VALUE)
"""Marks `Annotated[int, Tag(VALUE)] | Annotated[Range, Tag(MAPPING)]`: an error is then about the member that was
written, and not about both."""


class Section(BaseModel):
    """The base class of sections: frozen; unknown keys are errors; defaults are validated.

    `ADDED` maps options that were added after the first artifacts to the value with the earlier behaviour. An option
    with that value is not serialised, so that fingerprints do not change.
    """

    # most sections are only parts of others, whose validators contain theirs: none is built before it is used
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, defer_build=True)
    ADDED: ClassVar[JsonObject] = {}

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        """Check that no option min_x is above max_x, so that some value satisfies both."""
        inner = []
        for low in type(self).model_fields:
            high = f"max_{low[4:]}"
            if not low.startswith("min_") or high not in type(self).model_fields:
                continue
            conflict = self.conflict(getattr(self, low), getattr(self, high))
            if conflict is not None:
                least, most = conflict
                inner.append(((low,), f"is {least}, above {high} ({most}): no value satisfies both.", ""))
        if inner:
            raise PydanticCustomError("component", "{message}", {"message": "wrong options", "inner": inner})
        return self

    def conflict(self, low: object, high: object) -> tuple[object, object] | None:
        """The values of min_x and max_x if the first is above the second; None otherwise, or if one is not set."""
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            return low, high
        return None

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = handler(self)
        return {key: value for key, value in values.items() if key not in self.ADDED or value != self.ADDED[key]}


class Component(Section):
    """An alternative of a registry and its options, defaults filled in. Serialised as `name` or {name: options}."""

    name: str
    options: JsonObject = {}

    @model_serializer
    def _serialise_short(self) -> JsonValue:
        return {self.name: self.options} if self.options else self.name


@dataclass(frozen=True)
class NamesAlternative:
    """Marks a field whose value is the name of an alternative; its options are fields of the same section."""


def alternative(registry: Registry[Any]) -> Any:
    """The type of a field that names an alternative of a registry, or a plug-in as "module:Class"."""

    def check(name: str) -> str:
        try:
            return registry.check_name(name)
        except UserError as error:
            raise _custom_error(str(error)) from error

    return Annotated[str, AfterValidator(check), NamesAlternative()]


@dataclass(frozen=True)
class OptionsOf:
    """Marks a field that holds a component: the section of its options is found in this registry."""

    registry: Registry[Any]


def component(registry: Registry[Any]) -> Any:
    """The type of a field that holds an alternative of a registry, or a plug-in, with its options."""
    return Annotated[Component, BeforeValidator(_component_parser(registry)), OptionsOf(registry)]


def _component_parser(registry: Registry[Any]) -> Callable[[object], Component]:
    def parse(value: object) -> Component:
        if isinstance(value, Component):
            return value
        name, options = name_and_options(value)
        try:
            section = registry.section(name)
        except UserError as error:
            raise _custom_error(str(error)) from error
        return Component(name=name, options=validate_nested(section, options, name=name).model_dump(mode="json"))

    return parse


def _custom_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("component", "{message}", {"message": message})


def one_of(values: str) -> WrapValidator:
    """For a union of plain values: one message for what is none of them ("should be `values`"), not one for each."""

    def parse(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        try:
            return validate(value)
        except ValidationError as error:
            raise _custom_error(f"should be {values}, is {_shown(value)}.") from error

    return WrapValidator(parse)


def validate_nested(section: type[M], options: object, *, name: str) -> M:
    """Validate options inside a validator of another section: every mistake keeps its own path."""
    try:
        return section.model_validate(options)
    except ValidationError as error:
        raise PydanticCustomError(
            "component", "{message}", {"message": "wrong options", "inner": _details(error, section), "name": name}
        ) from error


def name_and_options(value: object) -> tuple[str, JsonObject]:
    """The name and options of a component, in any of the forms in which it may be written."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        options = {key: item for key, item in value.items() if key != "name"}
        if set(options) == {"options"}:
            options = options["options"]
        return value["name"], dict(options or {})
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        if options is None or isinstance(options, dict):
            return str(name), dict(options or {})
    raise _custom_error("write a name, or one name with its options below it.")


def _details(error: ValidationError, model: type[BaseModel]) -> list[tuple[PathOf, str, str]]:
    """Every error as (path, message, hint); the errors of nested components are listed one by one."""
    details: list[tuple[PathOf, str, str]] = []
    for detail in error.errors(include_url=False):
        path: PathOf = tuple(part for part in detail["loc"] if part not in (VALUE, MAPPING))
        inner = detail.get("ctx", {}).get("inner")
        if inner is not None:
            details += [((*path, *inner_path), message, hint) for inner_path, message, hint in inner]
        else:
            details.append((path, *_describe(detail, path, model)))
    return details


def _describe(detail: ErrorDetails, path: PathOf, model: type[BaseModel]) -> tuple[str, str]:
    """The message and the hint for an error of pydantic."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return "unknown key.", did_you_mean(str(path[-1]), _fields_at(model, path[:-1]))
    if kind == "missing":
        return "is missing.", ""
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("component", "value_error"):
        return text if text.endswith((".", "?")) else f"{text}.", ""
    if kind.startswith("bool_"):
        text = "true or false"
    return f"should be {text}, is {_shown(detail['input'])}.", ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _fields_at(model: type[BaseModel], path: PathOf) -> list[str]:
    """The names of the fields of the section at `path`."""
    section: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str) and section is not None:
            field = section.model_fields.get(part)
            section = _section_in(field.annotation) if field else None
    return [] if section is None else list(section.model_fields)


def _section_in(annotation: object) -> type[BaseModel] | None:
    """The first section in the annotation of a field, also within a union, a list or a mapping."""
    if isinstance(annotation, type) and not get_origin(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, dict, Annotated):
        sections = (_section_in(argument) for argument in get_args(annotation))
        return next((section for section in sections if section is not None), None)
    return None


def collect_problems(tree: YamlTree, model: type[M]) -> M | None:
    """Validate a tree and add its mistakes to `tree.problems`; return the model if there is none."""
    data = {} if tree.data is None else tree.data
    if not isinstance(data, dict):
        tree.problem((), "should be a mapping of sections.")
        return None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for path, message, hint in _details(error, model):
            tree.problem(path, message, hint)
        return None


def validate(tree: YamlTree, model: type[M], extra: Sequence[Callable[[M, YamlTree], None]] = ()) -> M:
    """The typed configuration, after the `extra` checks, which may add to `tree.problems`.

    Raises: ConfigError with all problems.
    """
    config = collect_problems(tree, model)
    if config is not None:
        for check in extra:
            check(config, tree)
    if config is None or tree.problems:
        raise ConfigError.of(tree.problems)
    return config
