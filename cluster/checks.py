"""Checks of a configuration before any work: against this machine and, by the stage tables, between sections.

Each check adds to `tree.problems`. Checks see only the sections that are valid on their own, so all problems of a file
are reported at once.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster import beam_runner, metrics
from cluster.flow import Flow
from cluster.launchers import requirements
from cluster.program import program
from pipeline.core import figures
from pipeline.core.checks import Remark
from pipeline.core.errors import UserError
from pipeline.core.file_systems import refuse_secrets
from pipeline.core.places import local_folder
from pipeline.core.probe import probe
from pipeline.core.raw import RawFiles, RawSource
from pipeline.core.registry import load
from pipeline.core.yaml_tree import PathOf, YamlTree

ConfigCheck = Callable[[Flow, YamlTree], None]

COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
GROWTH = 4  # documents, signals, kept documents and packed rows are each about the size of the text
UNPACKED = 4  # text compresses to about a quarter
LEAST_BYTES = 256 << 20  # a checkpoint, a log, a report


def needs_are_made(flow: Flow, tree: YamlTree) -> None:
    """For each kind of artifact that a stage needs, an earlier section must make one."""
    present = set(tree.data or {})
    available: set[str] = set()
    for spec in flow.specs:
        if spec.section not in present:
            continue
        steps = [step for step in flow.steps if step.spec is spec]
        needs = {kind: None for step in steps for kind in spec.needs_of(step.entry.options)} or dict.fromkeys(
            spec.needs
        )
        missing = [kind for kind in needs if kind not in available]
        if missing:
            makers = [next(spec.section for spec in flow.specs if spec.makes == kind) for kind in missing]
            message = f"the stage {spec.name} needs {' and '.join(missing)}; no earlier section makes it."
            tree.problem((spec.section,), message, f"Add {' and '.join(f'`{name}:`' for name in makers)}.")
        available.add(spec.makes)
    if not any(spec.section in present for spec in flow.specs):
        tree.problem((), "the file has no stage to run.", f"Write a configuration with: {program()} init")


def raw_files_are_there(flow: Flow, tree: YamlTree) -> None:
    """Every source has readable raw files, and the disk has enough space for their artifacts."""
    total = 0
    for path, source, problem in _raw_sources(flow):
        if problem:
            tree.problem(path, problem)
        elif source.remark:
            tree.remark(path, source.remark)
        total += sum(file.size * (UNPACKED if file.name.endswith(COMPRESSED) else 1) for file in source.files)
    _check_room(flow, tree, total)
    for step in flow.steps:
        if step.spec.passes is not None and (remark := load(step.spec.passes)(step.entry.options, total)):
            tree.remark((*step.entry.path, "steps"), remark)


def _raw_sources(flow: Flow) -> Iterator[tuple[PathOf, RawSource, str | None]]:
    """The path of each source in the file, the source, and its problem, if any."""
    for step in flow.steps:
        if step.spec.raw is not None:
            raw: RawFiles = load(step.spec.raw)()
            for source in raw.sources(step.entry.options):
                problem = source.problem or raw.problem(step.entry.options, source)
                yield (*step.entry.path, *source.option), source, problem


def _check_room(flow: Flow, tree: YamlTree, raw_bytes: int) -> None:
    if "://" in flow.config.workdir:
        return  # a store has no known end, and the cache on this machine has one of its own
    workdir = Path(flow.config.workdir)
    folder = _nearest(workdir)
    needed = raw_bytes * GROWTH + LEAST_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed and not (workdir / "store").exists():
        message = f"not enough disk space: {figures.size(free)} free in {folder}, about {figures.size(needed)} needed."
        tree.problem(("workdir",), message, "Free space, or choose another workdir.")


def store_answers(flow: Flow, tree: YamlTree) -> None:
    """A store behind a URL can be written, read and deleted in, with the credentials of the environment."""
    url = flow.config.workdir
    if "://" not in url:
        return
    if problem := refuse_secrets(url):
        tree.problem(("workdir",), f"{problem}.", "Credentials come from the environment: take it out of the URL.")
    elif "::" in url:
        tree.problem(("workdir",), "chained URLs are not supported.", "Use s3://, gs://, abfs:// or a folder.")
    elif problem := probe(url):
        tree.problem(("workdir",), f"the store cannot be used: {problem}.", "Check the address and the credentials.")


def workdir_is_writable(flow: Flow, tree: YamlTree) -> None:
    """The work directory is writable, or can be created."""
    folder = _nearest(local_folder(url) if "://" in (url := flow.config.workdir) else Path(url))
    try:
        probe = folder / f".bloomery-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = "is a file" if error.errno == errno.ENOTDIR else error.strerror or str(error)
        tree.problem(("workdir",), f"cannot write in {folder} ({reason}).", "Choose another workdir.")


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def other_artifacts_are_there(flow: Flow, tree: YamlTree) -> None:
    """The artifacts of other runs that this one reads are published."""
    for step in flow.steps:
        try:
            step.spec.externals_of(step.entry.options)
        except UserError as error:
            tree.problem(step.entry.path, str(error))


def launcher_can_start(flow: Flow, tree: YamlTree) -> None:
    """The requested GPUs exist, Ray is installed where it is used, and a Ray cluster answers at the address."""
    cluster = flow.config.cluster
    for requirement in requirements.problems(
        cluster.launcher, cluster.beam.runner, address=cluster.address, workers=cluster.least_workers,
        gpus_per_worker=cluster.gpus_per_worker,
    ):  # fmt: skip
        tree.problem(("cluster", *requirement.option.split(".")), requirement.what, requirement.hint)


def runner_can_start(flow: Flow, tree: YamlTree) -> None:
    """The runner of the data stages takes what is asked of it, and its workers can see the files."""
    config, paths = flow.config, list[str]()
    if config.cluster.beam.runner == "dataflow":  # listing raw files again takes a second for thousands of them
        paths = [file.path for _, source, _ in _raw_sources(flow) for file in source.files[:1]]
    sections = {step.spec.section for step in flow.steps if step.spec.work == "beam"}
    secrets = sorted({text for path, text in tree.secrets.items() if path[0] in sections})
    for problem in beam_runner.problems(config.cluster.beam, workdir=config.workdir, raw_paths=paths, secrets=secrets):
        tree.problem(("cluster", "beam", *problem.path), problem.what, problem.hint)


def metrics_can_be_exported(flow: Flow, tree: YamlTree) -> None:
    """The library of the metrics is installed, their folder is writable, and their port is free."""
    for option, problem in metrics.problems(flow.config.cluster.metrics):
        tree.problem(("cluster", "metrics", option), problem)


def sections_go_together(flow: Flow, tree: YamlTree) -> None:
    """The checks that the stage tables name."""
    for step, configured in zip(flow.steps, flow.configured(), strict=True):
        for check in step.spec.checks:
            for result in load(check)(configured):
                if isinstance(result, Remark):
                    tree.remark(result.path, result.what)
                else:
                    tree.problem(result.path, result.what, result.hint)


CHECKS: tuple[ConfigCheck, ...] = (
    needs_are_made, store_answers, workdir_is_writable, raw_files_are_there, other_artifacts_are_there,
    launcher_can_start, runner_can_start, metrics_can_be_exported, sections_go_together,
)  # fmt: skip
