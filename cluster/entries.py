"""Names of the entries of a section: `pretrain: [{name: small, …}, {name: wide, …}]`, `evaluate: {of: [small, wide]}`.

`name` and `of` are removed from the tree before the sections are validated, so they are no part of any section and
cannot enter a fingerprint. A section that has a field `name` itself, because it decides what the stage makes, keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cluster.sections import EntryNames
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.registry import load
from pipeline.core.stage import StageSpec
from pipeline.core.yaml_tree import PathOf, YamlTree

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
ALLOWED = "Use letters, digits, - and _, starting with a letter, at most 40 characters."


def pop_names(tree: YamlTree, specs: Sequence[StageSpec]) -> EntryNames:
    """Remove and return `name` and `of` of every entry; problems with them are added to the tree."""
    names: EntryNames = {}
    data = tree.data if isinstance(tree.data, dict) else {}
    for key, section in {spec.section: spec.section_type for spec in specs if spec.named}.items():
        value = data.get(key)
        keeps_name = value is not None and "name" in load(section).model_fields
        if isinstance(value, dict):
            names[key,] = _pop(tree, value, (key,), keeps_name=keeps_name)
        elif isinstance(value, list):
            _pop_list(tree, value, key, names, keeps_name=keeps_name)
    return names


def _pop_list(tree: YamlTree, entries: list[JsonValue], key: str, names: EntryNames, *, keeps_name: bool) -> None:
    if not entries:
        tree.problem((key,), "is an empty list.", "Write at least one entry, or leave the section out.")
    used: set[str] = set()
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue  # reported by the validation of the section
        path = (key, at)
        name, of = _pop(tree, entry, path, keeps_name=keeps_name)
        if not name:
            tree.problem(path, "has no name.", "Every entry of a list needs one, such as `name: small`.")
        elif name in used:
            tree.problem((*path, "name"), f"the name {name!r} is used by an earlier entry.", "Choose another name.")
        used.add(name)
        names[path] = (name, of)


def _pop(tree: YamlTree, entry: JsonObject, path: PathOf, *, keeps_name: bool) -> tuple[str, tuple[str, ...]]:
    name = entry.get("name") if keeps_name else entry.pop("name", None)
    of = entry.pop("of", None)
    if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
        tree.problem((*path, "name"), f"{name!r} is not a valid name for an entry.", ALLOWED)
        name = None
    return name or "", _of(tree, of, path)


def _of(tree: YamlTree, of: JsonValue, path: PathOf) -> tuple[str, ...]:
    if of is None:
        return ()
    targets = [of] if isinstance(of, str) else of
    if (
        not isinstance(targets, list)
        or not targets
        or not all(isinstance(target, str) and target for target in targets)
    ):
        tree.problem((*path, "of"), "should be a name or a list of names.")
        return ()
    if repeated := sorted({target for target in targets if targets.count(target) > 1}):
        tree.problem((*path, "of"), f"names {repeated[0]} twice.", "Write each name once.")
    return tuple(dict.fromkeys(targets))
