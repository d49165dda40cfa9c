"""YAML with line numbers: the 1.2 core schema, repeated keys refused, ${NAME} and ${NAME:-default} expanded.

`6e-4` is a number, `no` and `on` are words. What comes out is plain data and, beside it, the line of every path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pipeline.core.errors import ConfigError, Problem
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.registry import did_you_mean

PathOf = tuple[str | int, ...]
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
SECRET = re.compile(r"(?i)(secret|token|password|passwd|credential|private|api_?key|access_?key)")
MAX_NODES = 100_000  # aliases of aliases can name more nodes than memory holds

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_BASED = re.compile(r"^0(?:o[0-7]+|x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_SPECIAL = {".inf": float("inf"), "-.inf": float("-inf"), "+.inf": float("inf"), ".nan": float("nan")}


@dataclass
class YamlTree:
    """Plain data, the line (from 1) of every path in it, the problems met, what was remarked of
    options that work, and the text of expanded secrets by path.

    `nulls`: paths whose value is the word null (or ~), as against nothing at all behind the colon.
    """

    file: str
    data: JsonValue = None
    lines: dict[PathOf, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    secrets: dict[PathOf, str] = field(default_factory=dict)
    nulls: set[PathOf] = field(default_factory=set)

    def line(self, path: PathOf) -> int | None:
        """The line of a path, or of the nearest thing above it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def problem(self, path: PathOf, message: str, hint: str = "") -> None:
        """Record a mistake; only the first one of each path is kept."""
        if any(problem.path == dotted(path) for problem in self.problems):
            return
        self.problems.append(Problem(self.file, self.line(path), dotted(path), message, hint))

    def remark(self, path: PathOf, message: str) -> None:
        """Record what is no mistake and costs something."""
        self.remarks.append(Problem(self.file, self.line(path), dotted(path), message))


def dotted(path: PathOf) -> str:
    """ingest.sources[0].reader"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def scalar(text: str) -> JsonValue:
    """The value of a plain (unquoted) scalar by the YAML 1.2 core schema."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    return _SPECIAL.get(text.lower(), text)


def read_tree(path: Path) -> YamlTree:
    """Read a YAML file.

    Raises: ConfigError when it is not there, not UTF-8 or not YAML.
    """
    tree = YamlTree(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError.of([Problem(tree.file, None, "", f"cannot be read ({error.strerror}).")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError.of([Problem(tree.file, None, "", f"is not UTF-8 (byte {error.start}).")]) from error
    return parse_tree(text, tree)


def parse_tree(text: str, tree: YamlTree) -> YamlTree:
    """Fill `tree` from YAML text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError.of([Problem(tree.file, line, "", f"is not YAML: {error.problem}.")]) from error
    except yaml.YAMLError as error:
        raise ConfigError.of([Problem(tree.file, None, "", f"is not YAML: {error}.")]) from error
    tree.data = None if node is None else _Builder(tree).value(node, ())
    return tree


def set_path(tree: YamlTree, assignment: str) -> None:
    """Apply one `section.key=value` override; the value is read as YAML, list items go by number or by their `name`.

    Raises: ConfigError when it has no `=` or leads through something that is no mapping.
    """
    name, equals, text = assignment.partition("=")
    where = "command line"
    if not equals or not name:
        raise ConfigError.of([Problem(where, None, assignment, "an override is written section.key=value.")])
    parsed = parse_tree(text, YamlTree(where))
    tree.problems += [Problem(where, None, name, problem.what, problem.hint) for problem in parsed.problems]
    parts: list[str | int] = [int(p) if p.isdigit() else p for p in name.replace("[", ".").replace("]", "").split(".")]
    tree.nulls.discard(tuple(parts))
    if () in parsed.nulls:
        tree.nulls.add(tuple(parts))
    if tree.data is None:
        tree.data = {}
    node, place = tree.data, list[str | int]()
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if isinstance(node, dict):
            key: str | int = str(part)
            if not last and not isinstance(node.get(key), dict | list):
                node[key] = {}
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            key = part
        elif isinstance(node, list) and str(part) in (names := _names(node)):
            key = names[str(part)]
        else:
            hint = did_you_mean(str(part), _names(node)) if isinstance(node, list) else ""
            message = f"there is no {dotted(tuple(parts[: index + 1]))}."
            raise ConfigError.of([Problem(where, None, name, message, hint)])
        place.append(key)
        if last:
            node[key] = parsed.data
        node = node[key]
    _replace_secrets(tree, tuple(place), parsed)


def _replace_secrets(tree: YamlTree, place: PathOf, parsed: YamlTree) -> None:
    """The secrets of a tree after an override at `place`: those it replaced are gone, its own are added."""
    for path in [path for path in tree.secrets if path[: len(place)] == place or place[: len(path)] == path]:
        del tree.secrets[path]
    tree.secrets |= {(*place, *path): text for path, text in parsed.secrets.items()}


def _names(items: list[JsonValue]) -> dict[str, int]:
    """Name → place of the items of a list that have a name."""
    return {str(item["name"]): at for at, item in enumerate(items) if isinstance(item, dict) and "name" in item}


class _Builder:
    """From nodes to plain data, noting lines and problems on the way."""

    def __init__(self, tree: YamlTree) -> None:
        self.tree, self.nodes = tree, 0

    def value(self, node: yaml.Node, path: PathOf) -> JsonValue:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ConfigError.of([Problem(self.tree.file, None, "", f"holds more than {MAX_NODES:,} values.")])
        self.tree.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: PathOf) -> JsonObject:
        mapping: JsonObject = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in mapping:
                first = self.tree.lines[(*path, key)]
                self.tree.problems.append(
                    Problem(self.tree.file, line, dotted((*path, key)), f"is there twice (first on line {first}).")
                )
                continue
            self.tree.lines[(*path, key)] = line
            mapping[key] = self.value(value_node, (*path, key))
        return mapping

    def scalar(self, node: yaml.Node, path: PathOf) -> JsonValue:
        text = str(node.value)
        plain = getattr(node, "style", None) is None
        if "${" in text:
            text = VARIABLE.sub(lambda match: self.variable(match, path), text)
            if any(SECRET.search(match[1]) for match in VARIABLE.finditer(str(node.value))):
                self.tree.secrets[path] = str(node.value)
        if not _is_unicode(text):
            self.tree.problem(path, f"is not Unicode text: it holds half of a character ({ascii(text)}).")
            return ""
        value = scalar(text) if plain else text
        if value is None and text:
            self.tree.nulls.add(path)
        return value

    def variable(self, match: re.Match[str], path: PathOf) -> str:
        value = os.environ.get(match[1]) or match[2]
        if value is None:
            self.tree.problem(
                path, f"the environment variable {match[1]} is not set.", "Set it or give ${NAME:-default}."
            )
            return ""
        return value


def _is_unicode(text: str) -> bool:
    """Not so are half of a surrogate pair ("\\ud83d"), and bytes that are no UTF-8 in an environment variable."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
