"""Names and types say what a value is. When a rule is in your way, change it here in the open, with the reason."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("pipeline", "training", "cluster") for path in (ROOT / package).rglob("*.py"))

# words that fit every value and so say nothing of the one they name
VAGUE = frozenset(
    "found told made one some it said asked here there mine wanted chosen given taken drawn judged whole other"
    " who how".split()
)
# aliases of the same numpy array type, repeated where kernels would otherwise import each other
ARRAY_ALIASES = frozenset("Floats Hashes Ids Ints Longs Offsets TokenRow TokenRows Uniforms".split())
# a section of the YAML bears the name of what it configures; word2vec and GloVe are a section, a model and a trainer
SECTION = re.compile(r"/sections?(/|\.py)|training/models/vectors\.py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Variables, parameters, functions and classes that a file names itself, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def definitions(tree: ast.Module) -> Iterator[str]:
    """Classes and type aliases at the top of a file."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                yield target.id


def test_values_are_named_by_what_they_are() -> None:
    vague = [
        f"{name_of(path)}:{line}: {name}"
        for path in FILES
        for line, name in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if name.strip("_") in VAGUE
    ]
    assert not vague, "name the value by what it is: matches, config, paths, entry"


def test_a_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for name in definitions(ast.parse(path.read_text(encoding="utf-8"))):
            places[name].append(name_of(path))
    repeated = {
        name: files
        for name, files in places.items()
        if name not in ARRAY_ALIASES and sum(not SECTION.search(file) for file in files) > 1
    }
    assert not repeated, "a newcomer who searches for the word finds two things"


@pytest.mark.parametrize(("words", "most"), [(r"\bAny\b", 250), (r"dict\[str, Any\]", 80)])
def test_borders_are_typed(words: str, most: int) -> None:
    uses = sum(len(re.findall(words, path.read_text(encoding="utf-8"))) for path in FILES)
    assert uses <= most, "give the value a frozen dataclass, a TypedDict or a named alias"
