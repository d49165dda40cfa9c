"""Who may import whom. When a rule is in your way, change it here in the open, with the reason in the commit."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "training", "cluster")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# who → the folders of ours it may import (itself always)
MAY_IMPORT = {
    "pipeline/core": (),
    "pipeline/text": ("pipeline.core.errors",),
    "pipeline/kernels": ("pipeline.text",),
    "pipeline/readers": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/cleaners": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/filters": ("pipeline.core", "pipeline.text", "pipeline.kernels", "pipeline.cleaners.CLEANERS"),
    "pipeline/dedupe": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/tokenizers": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/beam": ("pipeline.core",),
    "pipeline/stages": ("pipeline",),
    "training": ("pipeline.core", "pipeline.tokenizers", "pipeline.text", "pipeline.kernels"),
    "cluster": ("pipeline.core", "pipeline.stages", "training.stages"),
}

# heavy library → where it may be imported: its one door
DOORS = {
    "apache_beam": ("pipeline/beam/", "pipeline/stages/"),
    "deepspeed": ("training/engines/zero.py",),
    "ray": ("cluster/launchers/on_ray.py",),
    "tokenizers": ("pipeline/tokenizers/",),
    "gigatoken": ("pipeline/tokenizers/",),
    "transformers": ("training/models/hf.py", "training/export/huggingface.py"),
    "torch": ("training/",),
    # the loops over word vectors read and write a model, not text: they stand beside their trainer
    "numba": ("pipeline/kernels/", "training/vectors/"),
    "gensim": ("training/export/vectors.py",),
    "onnx": ("training/export/onnx_graph.py", "training/export/onnx_nodes.py"),
    "onnxruntime": ("training/export/onnx_graph.py",),
    "jieba": ("pipeline/text/chinese_words.py",),
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def rule_of(path: Path) -> str:
    return max((rule for rule in MAY_IMPORT if name_of(path).startswith(f"{rule}/")), key=len, default="")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    rule = rule_of(path)
    if not rule:
        return  # the docstring of a package
    allowed = (rule.replace("/", "."), *MAY_IMPORT[rule])
    wrong = [
        f"{name_of(path)}:{line}: {target}"
        for line, target in imports(path)
        if target.split(".")[0] in PACKAGES and not any(f"{target}.".startswith(f"{a}.") for a in allowed)
    ]
    assert not wrong, f"{rule} may import {allowed} alone"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_have_one_door(path: Path) -> None:
    wrong = [
        f"{name_of(path)}:{line}: {target}"
        for line, target in imports(path)
        for library, doors in DOORS.items()
        if target.split(".")[0] == library and not name_of(path).startswith(doors)
    ]
    assert not wrong


def test_no_import_of_ours_runs_in_a_circle() -> None:
    names = {name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in FILES}
    arrows: dict[str, set[str]] = {}
    for name, path in names.items():
        module = ast.parse(path.read_text(encoding="utf-8"))
        # a circle that Python would notice: what runs at import, not what a function imports later
        top = [node for node in module.body if isinstance(node, ast.ImportFrom) and node.module]
        targets = {f"{node.module}.{alias.name}" for node in top for alias in node.names}
        targets |= {str(node.module) for node in top}
        arrows[name] = {target for target in targets if target in names and target != name}
    for start in arrows:
        seen, waiting = set(), list(arrows[start])
        while waiting:
            here = waiting.pop()
            assert here != start, f"{start} imports itself through others"
            if here not in seen:
                seen.add(here)
                waiting += arrows[here]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_keep_their_size(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300, "a room this large usually holds two"
    long = [
        f"{name_of(path)}:{node.lineno}: {node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert not long


def test_no_name_hides_another() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "helpers", "common", "misc"}, "name the thing"
    assert not {path.stem for path in FILES if path.parent.name in PACKAGES} & set(sys.stdlib_module_names)
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests/pipeline/__init__.py would shadow the package"
