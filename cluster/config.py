"""Loads and validates the YAML of a run: overrides, sections, and checks between sections.

Reports all problems at once, each with its line. Imports nothing heavy; takes about 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError

from cluster.checks import CHECKS, ConfigCheck
from cluster.entries import pop_names
from cluster.flow import Flow, FlowStep, flow_of
from cluster.sections import EntryNames, RunConfig, model_of, stage_table
from pipeline.core.config import Section, collect_problems
from pipeline.core.errors import ConfigError, Problem
from pipeline.core.files import JsonObject, JsonValue, replace_texts
from pipeline.core.places import local_workdir
from pipeline.core.stage import StageSpec
from pipeline.core.yaml_tree import PathOf, YamlTree, dotted, read_tree, scalar, set_path

V = TypeVar("V")


@dataclass(frozen=True)
class LoadedConfig:
    """A valid configuration, where it came from, the secrets that must not be written down, and remarks on it."""

    config: RunConfig
    flow: Flow
    names: EntryNames
    path: Path
    overrides: tuple[str, ...]
    secrets: dict[str, str]
    remarks: tuple[Problem, ...] = ()

    @property
    def workdir(self) -> Path:
        """The work directory; behind a URL, its folder on this machine."""
        return local_workdir(self.config.workdir)

    @property
    def specs(self) -> tuple[StageSpec, ...]:
        return self.flow.specs

    @property
    def steps(self) -> tuple[FlowStep, ...]:
        """The steps of the sections that are present, in the order of the flow."""
        return self.flow.steps

    def resolved(self) -> JsonObject:
        """Every value with defaults filled in, in the order of the flow; a secret stays its ${NAME}."""
        values = self.config.model_dump(mode="json", exclude_none=True)
        # a section that two stages read stands where the later one does, behind what that one reads
        sections = list(dict.fromkeys(spec.section for spec in reversed(self.specs)))[::-1]
        order = ["name", "workdir", "seed", *sections, "cluster"]
        return {key: self.without_secrets(self._with_names(key, values[key])) for key in order if key in values}

    def _with_names(self, key: str, value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [_with_name(self.names.get((key, at)), entry) for at, entry in enumerate(value)]
        return _with_name(self.names.get((key,)), value)

    def without_secrets(self, value: V) -> V:
        """A copy of plain data in which every expanded secret is replaced by its ${NAME}."""
        copy: V = replace_texts(value, self.secrets)
        return copy

    def params_of(self, spec: StageSpec, options: Section) -> JsonObject:
        """What enters the fingerprint and the manifest of a stage: a secret by its ${NAME}, never by its value."""
        return self.without_secrets(spec.params_of(options, self.config.seed))

    def resolved_yaml(self) -> str:
        """`resolved` as YAML that can be run."""
        return as_yaml(self.resolved())


def as_yaml(values: JsonObject) -> str:
    """A resolved configuration as YAML that can be run."""
    return yaml.dump(values, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def _with_name(names: tuple[str, tuple[str, ...]] | None, value: JsonValue) -> JsonValue:
    if names is None:
        return value
    name, of = names
    first = {"name": name} if name else {}
    return {**first, **({"of": list(of) if len(of) > 1 else of[0]} if of else {}), **value}


def load(path: Path, overrides: Sequence[str] = (), *, specs: Sequence[StageSpec] | None = None,
         checks: Sequence[ConfigCheck] = CHECKS) -> LoadedConfig:  # fmt: skip
    """Read the YAML of a run, apply `section.key=value` overrides, and validate it.

    Raises: ConfigError with every problem, each with its file and line.
    """
    tree = read_tree(path)
    for assignment in overrides:
        set_path(tree, assignment)
    return validate(tree, path, overrides=overrides, specs=specs, checks=checks)


def validate(tree: YamlTree, path: Path, *, overrides: Sequence[str] = (), specs: Sequence[StageSpec] | None = None,
             checks: Sequence[ConfigCheck] = CHECKS) -> LoadedConfig:  # fmt: skip
    """Validate a tree that `overrides` were already applied to.

    Raises: ConfigError with every problem.
    """
    table = tuple(stage_table() if specs is None else specs)
    sections = {spec.section for spec in table}
    _empty_means_defaults(tree, sections | {"cluster"})
    names = pop_names(tree, table)
    data = tree.data if isinstance(tree.data, dict) else {}
    listed = frozenset(key[0] for key in names if len(key) == 2 and isinstance(data.get(key[0]), list))
    model = model_of(table, listed)
    config = collect_problems(tree, model)
    sound = config or _sound_sections(tree, model)
    flow = flow_of(sound, table, names, tree, complete=config is not None)
    for check in checks:
        check(flow, tree)
    secrets = _secrets(tree)
    if config is None or tree.problems:
        raise ConfigError.of(_located(tree.problems, overrides, secrets, names))
    remarks = tuple(_located(tree.remarks, overrides, secrets, names))
    return LoadedConfig(config, flow, names, path, tuple(overrides), secrets, remarks)


def _empty_means_defaults(tree: YamlTree, sections: Iterable[str]) -> None:
    # `dedupe:` without a value means the stage with its defaults; an explicit null leaves the stage out
    if isinstance(tree.data, dict):
        for name in sections:
            if (name,) in tree.nulls and tree.data.get(name) is None:
                tree.data.pop(name, None)
            elif name in tree.data and tree.data[name] is None:
                tree.data[name] = {}


def _sound_sections(tree: YamlTree, model: type[RunConfig]) -> RunConfig:
    """The sections that are valid on their own, so that a typo in one does not hide problems between the others."""
    data = tree.data if isinstance(tree.data, dict) else {}
    sound: JsonObject = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation or object
        if name in data and get_origin(annotation) is list and isinstance(data[name], list):
            sound[name] = [_sound(get_args(annotation)[0], value) for value in data[name]]
        elif name in data and (value := _sound(annotation, data[name])) is not None:
            sound[name] = value
    return model.model_construct(**sound)


def _sound(annotation: Any, value: JsonValue) -> JsonValue:
    """The value as this type; None where it is invalid."""
    adapter: TypeAdapter[JsonValue] = TypeAdapter(annotation)
    with suppress(ValidationError):
        return adapter.validate_python(value)
    return None


def _located(
    problems: Sequence[Problem], overrides: Sequence[str], secrets: dict[str, str], names: EntryNames
) -> list[Problem]:
    """A problem in an override is located on the command line, not in the file. Secrets are never shown.

    A path through a list of entries goes by their names: `pretrain.small.steps`.
    """
    overridden = [assignment.partition("=")[0] for assignment in overrides]
    by_name = {dotted(path): f"{path[0]}.{name}" for path, (name, _) in names.items() if len(path) == 2 and name}
    located = []
    for problem in problems:
        path, message = problem.path, problem.what
        for numbered, display in by_name.items():
            if path == numbered or path.startswith((f"{numbered}.", f"{numbered}[")):
                path = display + path.removeprefix(numbered)
        for value, text in secrets.items():
            message = message.replace(value, text)
        typed = any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in overridden)
        where = ("command line", None) if typed else (problem.file, problem.line)
        located.append(Problem(*where, path, message, problem.hint))
    return list(dict.fromkeys(located))


def _secrets(tree: YamlTree) -> dict[str, str]:
    """Expanded value → its text in the file."""
    values = {text: _at(tree.data, path) for path, text in tree.secrets.items()}
    return {str(value): text for text, value in values.items() if value not in (None, "")}


def _at(value: JsonValue, path: PathOf) -> JsonValue:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):  # an override replaced it
            return None
    return value


class _Plain(yaml.SafeDumper):
    """Block style; short lists of plain values on one line; quotes around strings that YAML 1.2 would misread."""

    def represent_sequence(
        self, tag: str, sequence: Iterable[object], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        flat = all(not isinstance(item, dict | list) for item in items) and sum(len(str(item)) for item in items) < 90
        return super().represent_sequence(tag, items, flow_style=flat)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # SafeDumper quotes what YAML 1.1 would misread; "6e-4" is a number only in 1.2, which is what we read
    style = None if scalar(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else style)


_Plain.add_representer(str, _represent_text)
