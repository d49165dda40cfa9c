"""The names of a section's entries: `pretrain: [{name: small, …}, {name: wide, …}]`, `evaluate: {of: [small, wide]}`.

`name` and `of` are taken out of the tree before the sections are validated, so that no stage's section knows them and
neither can enter a fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cluster.sections import EntryNames
from pipeline.core.stage import StageSpec
from pipeline.core.yaml_tree import PathOf, YamlTree

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
ALLOWED = "Use letters, digits, - and _, beginning with a letter; 40 characters at most."


def pop_names(tree: YamlTree, specs: Sequence[StageSpec]) -> EntryNames:
    """Name and `of` of every entry, removed from the tree; what is wrong with them goes to its problems."""
    names: EntryNames = {}
    data = tree.data if isinstance(tree.data, dict) else {}
    for key in dict.fromkeys(spec.section for spec in specs if spec.named):
        value = data.get(key)
        if isinstance(value, dict):
            names[key,] = _take(tree, value, (key,))
        elif isinstance(value, list):
            _take_list(tree, value, key, names)
    return names


def _take_list(tree: YamlTree, entries: list[Any], key: str, names: EntryNames) -> None:
    if not entries:
        tree.problem((key,), "is an empty list.", "Write at least one entry, or leave the section out.")
    used: set[str] = set()
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue  # the section's own validation says so
        path = (key, at)
        name, of = _take(tree, entry, path)
        if not name:
            tree.problem(path, "has no name.", "Every entry of a list needs one, such as `name: small`.")
        elif name in used:
            tree.problem((*path, "name"), f"the name {name!r} is taken by an entry before it.", "Choose another.")
        used.add(name)
        names[path] = (name, of)


def _take(tree: YamlTree, entry: dict[str, Any], path: PathOf) -> tuple[str, tuple[str, ...]]:
    name, of = entry.pop("name", None), entry.pop("of", None)
    if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
        tree.problem((*path, "name"), f"{name!r} is not a name of an entry.", ALLOWED)
        name = None
    return name or "", _of(tree, of, path)


def _of(tree: YamlTree, of: Any, path: PathOf) -> tuple[str, ...]:
    if of is None:
        return ()
    targets = [of] if isinstance(of, str) else of
    if (
        not isinstance(targets, list)
        or not targets
        or not all(isinstance(target, str) and target for target in targets)
    ):
        tree.problem((*path, "of"), "should be the name of what is read, or a list of names.")
        return ()
    if repeated := sorted({target for target in targets if targets.count(target) > 1}):
        tree.problem((*path, "of"), f"names {repeated[0]} twice.", "Write each name once.")
    return tuple(dict.fromkeys(targets))
