"""The whole YAML as one type: a key a stage in the order of the flow, and `cluster`, which never changes a byte.

`load` reads, overrides, validates and cross-checks; every mistake comes at once, before any work. The type is built
from the stage tables, so a new stage is one line there. Imports neither torch, Beam nor Ray; about 0.1 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, TypeAdapter, ValidationError, create_model

from pipeline.core.config import Section, UserPath, problems_of
from pipeline.core.errors import ConfigError, Problem
from pipeline.core.registry import load as load_target
from pipeline.core.stage import StageSpec
from pipeline.core.yaml_tree import PathOf, Tree, read_tree, scalar, set_path

Check = Callable[["RunConfig", Tree], None]
V = TypeVar("V")


class Beam(Section):
    """How wide the data stages run; 0 workers means one a core of this machine."""

    runner: Literal["embedded"] = "embedded"
    workers: int = Field(default=0, ge=0, le=4096)


class Cluster(Section):
    """Where and how wide: the launcher, the ranks of a gang, threads a rank (part of a model's numerics class).

    `address` is of a Ray cluster that runs already ("auto", "ray://host:10001"); without it Ray starts on this machine.
    """

    launcher: Literal["local", "ray"] = "local"
    address: str | None = Field(default=None, min_length=1)
    workers: int = Field(default=1, ge=1, le=4096)
    gpus_per_worker: int = Field(default=0, ge=0, le=64)
    threads: int = Field(default=1, ge=1, le=1024)
    beam: Beam = Beam()


class RunConfig(Section):
    """What every run has; `model_of` adds a field for each section of the stage tables."""

    name: str = Field(default="run", pattern=r"^[\w.-]{1,80}$")
    workdir: UserPath = "work"
    seed: int = Field(default=17, ge=0, lt=1 << 63)
    cluster: Cluster = Cluster()

    def section(self, name: str) -> Section | None:
        """The section of that name, or None when it is left out and its stage with it."""
        found = getattr(self, name, None)
        return found if isinstance(found, Section) else None


@dataclass(frozen=True)
class Loaded:
    """A configuration that holds, where it came from, and the values that must not be written down."""

    config: RunConfig
    specs: tuple[StageSpec, ...]
    path: Path
    overrides: tuple[str, ...]
    secrets: dict[str, str]

    @property
    def workdir(self) -> Path:
        return Path(self.config.workdir).absolute()

    def chosen(self) -> list[StageSpec]:
        """The stages whose section is there, in the order of the flow."""
        return [spec for spec in self.specs if self.config.section(spec.section) is not None]

    def resolved(self) -> dict[str, Any]:
        """Every value, defaults filled, in the order of the flow; secrets stay the ${NAME} they were."""
        found = self.config.model_dump(mode="json", exclude_none=True)
        order = ["name", "workdir", "seed", *dict.fromkeys(spec.section for spec in self.specs), "cluster"]
        return {key: self.veiled(found[key]) for key in order if key in found}

    def veiled(self, value: V) -> V:
        """A copy of plain data in which every expanded secret is its ${NAME} again."""
        veiled: V = _replace(value, self.secrets)
        return veiled

    def resolved_yaml(self) -> str:
        """`resolved` as YAML that runs again."""
        return yaml.dump(self.resolved(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def stage_table() -> tuple[StageSpec, ...]:
    """Every stage there is, in the order of the flow."""
    from pipeline.stages import STAGES as data
    from training.stages import STAGES as models

    return (*data, *models)


def load(path: Path, overrides: Sequence[str] = (), *, specs: Sequence[StageSpec] | None = None,
         checks: Sequence[Check] | None = None) -> Loaded:  # fmt: skip
    """Read a run's YAML, apply `section.key=value` overrides, validate.

    Raises: ConfigError with every problem, each with its file and line.
    """
    tree = read_tree(path)
    for assignment in overrides:
        set_path(tree, assignment)
    return judged(tree, path, overrides=overrides, specs=specs, checks=checks)


def judged(tree: Tree, path: Path, *, overrides: Sequence[str] = (), specs: Sequence[StageSpec] | None = None,
           checks: Sequence[Check] | None = None) -> Loaded:  # fmt: skip
    """The configuration that a tree holds, with `overrides` in it already.

    Raises: ConfigError with every problem.
    """
    if checks is None:
        from cluster.checks import CHECKS

        checks = CHECKS
    table = tuple(stage_table() if specs is None else specs)
    _empty_means_defaults(tree, {spec.section for spec in table} | {"cluster"})
    model = model_of(table)
    config = problems_of(tree, model)
    sound = config or _sound_sections(tree, model)
    for check in checks:
        check(sound, tree)
    secrets = _secrets(tree)
    if config is None or tree.problems:
        raise ConfigError.of(_told(tree.problems, overrides, secrets))
    return Loaded(config, table, path, tuple(overrides), secrets)


@cache
def model_of(specs: tuple[StageSpec, ...]) -> type[RunConfig]:
    """The type of the whole YAML for these stages."""
    fields: dict[str, Any] = {}
    for spec in specs:
        fields[spec.section] = (load_target(spec.section_type) | None, None)
    return create_model("RunConfig", __base__=RunConfig, **fields)


def _empty_means_defaults(tree: Tree, sections: Iterable[str]) -> None:
    # `dedupe:` with nothing behind it is the user's way to write "dedupe, as it is"; the word null leaves it out
    if isinstance(tree.data, dict):
        for name in sections:
            if (name,) in tree.nulls and tree.data.get(name) is None:
                tree.data.pop(name, None)
            elif name in tree.data and tree.data[name] is None:
                tree.data[name] = {}


def _sound_sections(tree: Tree, model: type[RunConfig]) -> RunConfig:
    """The sections that are right by themselves, so that a typo in one does not hide what is wrong between others."""
    data = tree.data if isinstance(tree.data, dict) else {}
    sound = {}
    for name, field in model.model_fields.items():
        if name in data:
            with suppress(ValidationError):
                adapter: TypeAdapter[Any] = TypeAdapter(field.annotation or Any)
                sound[name] = adapter.validate_python(data[name])
    return model.model_construct(**sound)


def _told(problems: Sequence[Problem], overrides: Sequence[str], secrets: dict[str, str]) -> list[Problem]:
    """A mistake in an override has no line in the file: say where it was written. A secret is never shown."""
    names = [assignment.partition("=")[0] for assignment in overrides]
    found = []
    for problem in problems:
        given = any(problem.path == name or problem.path.startswith((f"{name}.", f"{name}[")) for name in names)
        what = problem.what
        for value, text in secrets.items():
            what = what.replace(value, text)
        where = ("command line", None) if given else (problem.file, problem.line)
        found.append(Problem(*where, problem.path, what, problem.hint))
    return list(dict.fromkeys(found))


def _secrets(tree: Tree) -> dict[str, str]:
    """Expanded value → the text that stood in the file."""
    values = {text: _at(tree.data, path) for path, text in tree.secrets.items()}
    return {str(value): text for text, value in values.items() if value not in (None, "")}


def _at(value: Any, path: PathOf) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):  # an override took its place
            return None
    return value


def _replace(value: Any, table: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace(item, table) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, table) for item in value]
    return table.get(value, value) if isinstance(value, str) else value


class _Plain(yaml.SafeDumper):
    """Block style; short lists of plain values on one line; strings that YAML 1.2 would read otherwise in quotes."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        items = list(sequence)
        flat = all(not isinstance(item, dict | list) for item in items) and sum(len(str(item)) for item in items) < 90
        return super().represent_sequence(tag, items, flow_style=flat)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # SafeDumper quotes what YAML 1.1 would misread; "6e-4" is a number only in 1.2, which is what we read
    style = None if scalar(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else style)


_Plain.add_representer(str, _represent_text)
