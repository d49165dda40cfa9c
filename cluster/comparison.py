"""A comparison: one YAML that describes a run of every entry on every corpus, validated before any run starts.

    base  <  corpora.<corpus>  <  entries.<entry>  <  corpora.<corpus>.entries.<entry>

A later level replaces whole sections of an earlier one; keys within a section are not merged. The resolved YAML of each
run is written beside the page. Stages that runs share are run once: the store finds them by fingerprint.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from cluster.config import LoadedConfig, validate
from pipeline.core.config import Section, UserPath, collect_problems
from pipeline.core.errors import ConfigError, Problem
from pipeline.core.files import JsonObject, JsonValue, replacing
from pipeline.core.places import local_workdir
from pipeline.core.yaml_tree import PathOf, YamlTree, dotted, read_tree, set_path

V = TypeVar("V")

FOLDER = "comparisons"
COMMON = ("name", "workdir", "seed", "cluster")
LEVELS = ("base", "corpora", "entries")
OWN = (*COMMON, *LEVELS)
# a run is named ENTRY-CORPUS, which is unambiguous because the name of a corpus has no hyphen
CORPUS, ENTRY = re.compile(r"\w{1,24}"), re.compile(r"[\w-]{1,48}")


class Comparison(Section):
    """The file. Keys common to all runs are validated with the runs; a corpus may have `entries` of its own."""

    name: str = Field(default="comparison", pattern=r"^[\w.-]{1,80}$")
    workdir: UserPath = "work"
    seed: JsonValue = 17
    cluster: JsonValue = {}
    base: JsonObject = {}
    corpora: dict[str, JsonObject] = Field(min_length=1)
    entries: dict[str, JsonObject] = Field(min_length=1)


@dataclass(frozen=True)
class ComparedRun:
    """One run: an entry on a corpus."""

    entry: str
    corpus: str
    loaded: LoadedConfig

    @property
    def name(self) -> str:
        return self.loaded.config.name


@dataclass(frozen=True)
class ComparisonPlan:
    """A resolved comparison: the folder of its page, and its runs, corpus by corpus."""

    name: str
    path: Path
    overrides: tuple[str, ...]
    runs: tuple[ComparedRun, ...]

    @property
    def workdir(self) -> Path:
        return self.runs[0].loaded.workdir

    @property
    def folder(self) -> Path:
        return self.workdir / FOLDER / self.name


@dataclass(frozen=True)
class _RunDraft:
    """A run before validation: its tree, and for each section the place in the file it came from."""

    entry: str
    corpus: str
    tree: YamlTree
    origins: dict[str, PathOf]

    @property
    def name(self) -> str:
        return f"{self.entry}-{self.corpus}"

    def place(self, path: str) -> str:
        """A path in the run as a path in the file."""
        section = re.split(r"[.\[]", path)[0]
        if section in COMMON and section not in self.origins:
            return section
        above = dotted(self.origins.get(section, ("entries", self.entry)))
        return f"{above}.{path}" if path else above


def read(path: Path, overrides: Sequence[str] = ()) -> ComparisonPlan:
    """Read and validate all runs. An override sets a key of the file, or of every run that has the section.

    Raises: ConfigError with every problem of every run.
    """
    tree = read_tree(path)
    common = [assignment for assignment in overrides if _first(assignment) in OWN]
    for assignment in common:
        set_path(tree, assignment)
    comparison = collect_problems(tree, Comparison)
    if comparison is None:
        raise ConfigError.of(tree.problems)
    _check_names(comparison, tree)
    drafts = [_draft(tree, entry, corpus) for corpus in comparison.corpora for entry in comparison.entries]
    for assignment in overrides:
        if assignment not in common:
            _override(drafts, assignment)
    folder = local_workdir(comparison.workdir) / FOLDER / comparison.name
    runs = _validated(drafts, tree, folder, overrides)
    return ComparisonPlan(comparison.name, path, tuple(overrides), tuple(runs))


def write(comparing: ComparisonPlan) -> None:
    """Write the YAML of every run beside the page."""
    comparing.folder.mkdir(parents=True, exist_ok=True)
    for run in comparing.runs:
        with replacing(run.loaded.path) as beside:
            beside.write_text(run.loaded.resolved_yaml(), encoding="utf-8")


def _first(assignment: str) -> str:
    return re.split(r"[.\[=]", assignment)[0]


def _check_names(comparison: Comparison, tree: YamlTree) -> None:
    for kind, names, allowed in (("corpora", comparison.corpora, CORPUS), ("entries", comparison.entries, ENTRY)):
        for name in names:
            if not allowed.fullmatch(name):
                hyphen, longest = ("", 24) if kind == "corpora" else (" and -", 48)
                tree.problem(
                    (kind, name),
                    f"is used in file names. Use only letters, digits, _{hyphen}, at most {longest} characters.",
                )
    for corpus, sections in comparison.corpora.items():
        own = sections.get("entries", {})
        if not isinstance(own, dict) or not all(isinstance(sections, dict) for sections in own.values()):
            tree.problem(("corpora", corpus, "entries"), "should be a mapping of entries to their sections.")
            continue
        for name in own:
            if name not in comparison.entries:
                tree.problem(("corpora", corpus, "entries", name), f"there is no entry {name}.")


def _draft(tree: YamlTree, entry: str, corpus: str) -> _RunDraft:
    """The sections of a run, each with its lines in the file."""
    data = {key: value for key, value in tree.data.items() if key in COMMON}
    where: dict[str, PathOf] = {key: (key,) for key in COMMON}
    origins: dict[str, PathOf] = {}
    levels: list[PathOf] = [("base",), ("corpora", corpus), ("entries", entry), ("corpora", corpus, "entries", entry)]
    for above in levels:
        for section, value in _sections(tree, above):
            data[section], origins[section], where[section] = value, above, (*above, section)
    drafted = YamlTree(tree.file, copy.deepcopy(data) | {"name": f"{entry}-{corpus}"})
    for section, above in where.items():
        drafted.lines |= _below(tree.lines, above, section)
        drafted.secrets |= _below(tree.secrets, above, section)
    drafted.lines[()] = tree.line(("entries", entry)) or 1
    return _RunDraft(entry, corpus, drafted, origins)


def _sections(tree: YamlTree, above: PathOf) -> Iterator[tuple[str, JsonValue]]:
    level = tree.data
    for part in above:
        level = level.get(part, {}) if isinstance(level, dict) else {}
    for name, value in level.items():
        if name in ("name", "workdir"):
            tree.problem((*above, name), "applies to the whole comparison. Move it to the top level of the file.")
        elif not (above[0] == "corpora" and len(above) == 2 and name == "entries"):
            yield name, value


def _below(table: Mapping[PathOf, V], above: PathOf, section: str) -> dict[PathOf, V]:
    """The entries of a table below a path, re-rooted at a section."""
    return {(section, *path[len(above) :]): value for path, value in table.items() if path[: len(above)] == above}


def _override(drafts: Sequence[_RunDraft], assignment: str) -> None:
    section = _first(assignment)
    affected = [draft for draft in drafts if section in draft.tree.data]
    if not affected:
        message, hint = f"no run has a section {section!r}.", f"Top-level keys of the file: {', '.join(OWN)}."
        raise ConfigError.of([Problem("command line", None, assignment, message, hint)])
    for draft in affected:
        set_path(draft.tree, assignment)


def _validated(
    drafts: Sequence[_RunDraft], tree: YamlTree, folder: Path, overrides: Sequence[str]
) -> list[ComparedRun]:
    runs: list[ComparedRun] = []
    problems: dict[Problem, list[_RunDraft]] = {problem: [] for problem in tree.problems}
    reported = {problem.path for problem in tree.problems}
    for draft in drafts:
        try:
            loaded = validate(draft.tree, folder / f"{draft.name}.yaml", overrides=overrides)
        except ConfigError as error:
            for problem in error.problems:
                placed = _placed(problem, draft.place(problem.path), overrides)
                if placed.path not in reported:
                    problems.setdefault(placed, []).append(draft)
        else:
            runs.append(ComparedRun(draft.entry, draft.corpus, replace(loaded, overrides=())))
    if problems:
        raise ConfigError.of([_with_run_names(problem, of, drafts) for problem, of in problems.items()])
    return runs


def _placed(problem: Problem, path: str, overrides: Sequence[str]) -> Problem:
    names = [assignment.partition("=")[0] for assignment in overrides]
    overridden = any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in names)
    return replace(problem, path=path, file="command line", line=None) if overridden else replace(problem, path=path)


def _with_run_names(problem: Problem, of: Sequence[_RunDraft], drafts: Sequence[_RunDraft]) -> Problem:
    """The problem, with the names of the runs that have it unless the path identifies them."""
    parts = problem.path.split(".")
    filters = {"entries": lambda draft: draft.entry == parts[1], "corpora": lambda draft: draft.corpus == parts[1]}
    candidates = list(filter(filters.get(parts[0], lambda draft: True), drafts))
    if not of or len(of) == len(candidates) or (parts[0] == "corpora" and parts[2:3] == ["entries"]):
        return problem
    more = f" and {len(of) - 3} more" if len(of) > 3 else ""
    return replace(problem, what=f"in {', '.join(draft.name for draft in of[:3])}{more}: {problem.what}")
