"""Who may import whom. When a rule is in your way, change it here in the open, with the reason in the commit."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "training", "cluster")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# who → the folders of ours it may import (itself always)
MAY_IMPORT = {
    "pipeline/core": (),
    "pipeline/text": ("pipeline.core.errors",),
    "pipeline/kernels": ("pipeline.text",),
    "pipeline/extract": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/readers": ("pipeline.core", "pipeline.text", "pipeline.kernels", "pipeline.extract"),
    "pipeline/pii": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/cleaners": ("pipeline.core", "pipeline.text", "pipeline.kernels", "pipeline.pii"),
    # of pii: the options of the cleaner, whose counts the filter of that name reads
    "pipeline/filters": (
        "pipeline.core",
        "pipeline.text",
        "pipeline.kernels",
        "pipeline.cleaners.CLEANERS",
        "pipeline.pii.section",
        "pipeline.readers.streams",
    ),
    "pipeline/dedupe": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/semantic": ("pipeline.core", "pipeline.kernels"),
    "pipeline/passages": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    # of readers: decompression
    "pipeline/decontamination": ("pipeline.core", "pipeline.text", "pipeline.kernels", "pipeline.readers.streams"),
    "pipeline/tokenizers": ("pipeline.core", "pipeline.text", "pipeline.kernels"),
    "pipeline/token_formats": ("pipeline.core", "pipeline.tokenizers"),
    # of kernels: what a task says while they are compiled
    "pipeline/beam": ("pipeline.core", "pipeline.kernels.first_use"),
    # the report shows the distributions that `bloomery signals` prints
    "pipeline/reports": ("pipeline.core", "pipeline.filters.distributions"),
    "pipeline/stages": ("pipeline",),
    # of readers: a user names texts for a model as sources are named in `ingest`
    "training/annotation": (
        "training",
        "pipeline.core",
        "pipeline.tokenizers",
        "pipeline.text",
        "pipeline.kernels",
        "pipeline.readers",
    ),
    # of filters: the report shows scores as that of `signals` shows signals
    "training/reports": (
        "training",
        "pipeline.core",
        "pipeline.filters.distributions",
        "pipeline.filters.measured_rows",
        "pipeline.filters.annotations",
    ),
    "training": ("pipeline.core", "pipeline.tokenizers", "pipeline.text", "pipeline.kernels"),
    # of Beam: whether a runner knows its options, and a toy job for `doctor`
    "cluster": (
        "pipeline.core",
        "pipeline.stages",
        "training.stages",
        "pipeline.beam.portable_options",
        "pipeline.beam.toy_job",
    ),
}

# heavy library → where it may be imported: its one door
DOORS = {
    "apache_beam": ("pipeline/beam/", "pipeline/stages/"),
    "deepspeed": ("training/engines/zero.py",),
    "ray": ("cluster/launchers/on_ray.py", "cluster/launchers/ray_", "cluster/submission/ray_jobs.py"),
    "tokenizers": ("pipeline/tokenizers/",),
    "gigatoken": ("pipeline/tokenizers/",),
    "transformers": ("training/models/hf.py", "training/export/huggingface.py"),
    "torch": ("training/",),
    # the loops over word vectors read and write a model, not text: they stand beside their trainer
    "numba": ("pipeline/kernels/", "training/vectors/", "training/models/cpu/"),
    "gensim": ("training/export/vectors.py",),
    "onnx": ("training/export/onnx_graph.py", "training/export/onnx_nodes.py"),
    "onnxruntime": ("training/export/onnx_graph.py",),
    # they parse what strangers wrote, and run in a process that may be killed
    "trafilatura": ("pipeline/extract/",),
    "resiliparse": ("pipeline/extract/",),
    "opencc": ("pipeline/cleaners/chinese.py",),
    "ftfy": ("pipeline/cleaners/mojibake.py",),
    "jieba": ("pipeline/text/chinese_words.py",),
    "pycld2": ("pipeline/text/language_model.py",),
    "re2": ("pipeline/pii/",),
    "huggingface_hub": ("pipeline/core/hub.py",),
}


# files whose import strings may name another floor: what they hold are alternatives, loaded when one is chosen
TABLES = (
    "cluster/launchers/__init__.py", "pipeline/beam/executor.py", "pipeline/cleaners/__init__.py",
    "pipeline/dedupe/__init__.py", "pipeline/extract/__init__.py", "pipeline/filters/__init__.py",
    "pipeline/passages/__init__.py",
    "pipeline/readers/__init__.py",
    "pipeline/stages/__init__.py", "pipeline/token_formats/__init__.py",
    "pipeline/tokenizers/__init__.py", "training/annotation/__init__.py",
    "training/augment/__init__.py", "training/embedding/__init__.py", "training/engines/__init__.py",
    "training/evaluation/__init__.py",
    "training/export/__init__.py",
    "training/export/translation.py", "training/families.py", "training/models/__init__.py",
    "training/objectives/__init__.py", "training/stages/__init__.py", "training/vectors/base.py",
)  # fmt: skip
# import strings outside a table, each with the reason why it is no import
LATE = {
    "pipeline/core/registry.py: pipeline.core.config:Section": "the options of an alternative that names none",
}
IMPORT_STRING = re.compile(rf"({'|'.join(PACKAGES)})(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?")


@cache
def parsed(path: Path) -> ast.Module:
    """A file is parsed once for all rules."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Everything a file imports, within functions too, but for what it imports for type hints alone.

    A name that only type hints use is never bound when the program runs, so it ties no file to another.
    """
    module = parsed(path)
    hints = {id(below) for node in ast.walk(module) if _is_for_hints(node) for below in ast.walk(node)}
    for node in (node for node in ast.walk(module) if id(node) not in hints):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _is_for_hints(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def import_strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every text that names a module of ours, or something in one: "pipeline.readers:match", "cluster.child"."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and IMPORT_STRING.fullmatch(node.value):
            module = node.value.partition(":")[0]
            if ":" in node.value or (ROOT / module.replace(".", "/")).with_suffix(".py").exists():
                yield node.lineno, node.value


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def rule_of(path: Path) -> str:
    return max((rule for rule in MAY_IMPORT if name_of(path).startswith(f"{rule}/")), key=len, default="")


def allowed_for(path: Path) -> tuple[str, ...] | None:
    """What a file may import; None for a file without a rule, which is the docstring of a package."""
    rule = rule_of(path)
    return (rule.replace("/", "."), *MAY_IMPORT[rule]) if rule else None


def test_imports_point_down() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {target}: may import {allowed} alone"
        for path in FILES
        if (allowed := allowed_for(path)) is not None
        for line, target in imports(path)
        if target.split(".")[0] in PACKAGES and not any(f"{target}.".startswith(f"{a}.") for a in allowed)
    ]
    assert not wrong


def test_heavy_libraries_have_one_door() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {target}"
        for path in FILES
        for line, target in imports(path)
        for library, doors in DOORS.items()
        if target.split(".")[0] == library and not name_of(path).startswith(doors)
    ]
    assert not wrong


def test_import_strings_point_down_unless_they_are_alternatives_of_a_table() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {target}: may name {allowed} alone; alternatives stand in a table"
        for path in FILES
        if name_of(path) not in TABLES and (allowed := allowed_for(path)) is not None
        for line, target in import_strings(path)
        if not any(f"{target.replace(':', '.')}.".startswith(f"{a}.") for a in allowed)
        and f"{name_of(path)}: {target}" not in LATE
    ]
    assert not wrong


def test_tables_name_alternatives_of_their_own_package() -> None:
    wrong = [
        f"{table}:{line}: {target}"
        for table in TABLES
        for line, target in import_strings(ROOT / table)
        if not target.startswith(f"{table.split('/')[0]}.")
    ]
    assert not wrong


def test_the_rules_see_imports_within_functions_and_import_strings(tmp_path: Path) -> None:
    file = tmp_path / "made_up.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cluster.run import Run\n"
        "def later() -> None:\n    from cluster.plan import plan\n    load('training.section:Pretrain')\n"
    )
    assert [target for _, target in imports(file)] == ["typing.TYPE_CHECKING", "cluster.plan.plan"]
    assert [target for _, target in import_strings(file)] == ["training.section:Pretrain"]


def arrows_of(names: dict[str, Path]) -> dict[str, set[str]]:
    """Module → the modules of ours that it imports anywhere, or names by a string outside a table of alternatives."""
    arrows: dict[str, set[str]] = {}
    for name, path in names.items():
        targets = {target for _, target in imports(path)}
        targets |= {target.rpartition(".")[0] for target in targets}
        if name_of(path) not in TABLES:
            strings = {target for _, target in import_strings(path) if f"{name_of(path)}: {target}" not in LATE}
            targets |= {target.partition(":")[0] for target in strings}
        arrows[name] = {target for target in targets if target in names and target != name}
    return arrows


def test_no_import_of_ours_runs_in_a_circle() -> None:
    names = {name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in FILES}
    arrows = arrows_of(names)
    for start in arrows:
        seen, waiting = set(), list(arrows[start])
        while waiting:
            here = waiting.pop()
            assert here != start, f"{start} imports itself through others"
            if here not in seen:
                seen.add(here)
                waiting += arrows[here]


def test_files_and_functions_keep_their_size() -> None:
    large = [name_of(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert not large, "a room this large usually holds two"
    long = [
        f"{name_of(path)}:{node.lineno}: {node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert not long


def test_no_name_hides_another() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "helpers", "common", "misc"}, "name the thing"
    assert not {path.stem for path in FILES if path.parent.name in PACKAGES} & set(sys.stdlib_module_names)
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests/pipeline/__init__.py would shadow the package"
