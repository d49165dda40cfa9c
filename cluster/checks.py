"""Whether this machine can begin at all: inputs, disk, what other runs made. What goes with what is in `fits`.

Each check adds to `tree.problems`; it sees only the sections that are right by themselves, so that every mistake of a
file is told at once, cross-checks included.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from cluster import figures, fits
from cluster.config import Check, RunConfig, stage_table
from cluster.launchers import requirements
from cluster.plan import MATCH
from cluster.program import program
from pipeline.core.errors import UserError
from pipeline.core.registry import load
from pipeline.core.yaml_tree import Tree

TEXT_PROBLEM = "pipeline.readers:text_problem"
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
GROWTH = 4  # documents, their signals, what is kept and what is packed, each about the size of the text
UNPACKED = 4  # text compresses to about a quarter
LEAST_BYTES = 256 << 20  # a checkpoint, a log, a report


def needs_are_made(config: RunConfig, tree: Tree) -> None:
    """A stage reads the nearest earlier artifact of each kind it needs: some section before it must make one."""
    given = set(tree.data or {})
    made: set[str] = set()
    specs = stage_table()
    for spec in specs:
        if spec.section not in given:
            continue
        section = config.section(spec.section)
        missing = [kind for kind in (spec.needs if section is None else spec.needs_of(section)) if kind not in made]
        if missing:
            makers = [next(other.section for other in specs if other.makes == kind) for kind in missing]
            what = f"the stage {spec.name} needs {' and '.join(missing)}; no section before it makes that."
            tree.problem((spec.section,), what, f"Add {' and '.join(f'`{name}:`' for name in makers)}.")
        made.add(spec.makes)
    if not any(spec.section in given for spec in specs):
        tree.problem((), "there is no stage to run.", f"Write one with: {program()} init")


def sources_match(config: RunConfig, tree: Tree) -> None:
    """Every source has a raw file, its first records have a text, and the disk has room for what becomes of them."""
    total = 0
    for index, source in enumerate(getattr(config.section("ingest"), "sources", ())):
        try:
            files = load(MATCH)(source)
            if problem := load(TEXT_PROBLEM)(source, files):
                tree.problem(("ingest", "sources", index), problem)
        except UserError as error:
            tree.problem(("ingest", "sources", index), str(error))
        except OSError as error:
            tree.problem(("ingest", "sources", index), f"cannot be listed ({error}).")
        else:
            total += sum(file.size * (UNPACKED if file.name.endswith(COMPRESSED) else 1) for file in files)
    _room(config, tree, total)


def _room(config: RunConfig, tree: Tree, raw_bytes: int) -> None:
    folder = _nearest(Path(config.workdir))
    needed = raw_bytes * GROWTH + LEAST_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed and not (Path(config.workdir) / "store").exists():
        what = f"too little disk: {figures.size(free)} free in {folder}, about {figures.size(needed)} needed."
        tree.problem(("workdir",), what, "Free space, or choose another workdir.")


def workdir_is_local(config: RunConfig, tree: Tree) -> None:
    """The work directory is a folder of this machine."""
    scheme, separator, _ = config.workdir.partition("://")
    if separator:
        what = f"a work directory behind a URL ({scheme}://) is not supported yet;"
        tree.problem(("workdir",), what, "use a local folder.")


def workdir_is_writable(config: RunConfig, tree: Tree) -> None:
    """The work directory is there and takes files, or can be made."""
    folder = _nearest(Path(config.workdir))
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


def other_artifacts_are_there(config: RunConfig, tree: Tree) -> None:
    """What other runs made and this one reads is published."""
    for spec in stage_table():
        section = config.section(spec.section)
        try:
            if section is not None:
                spec.externals_of(section)
        except UserError as error:
            tree.problem((spec.section,), str(error))


def launcher_can_start(config: RunConfig, tree: Tree) -> None:
    """The GPUs that are asked for are there, and somebody answers at the address of Ray."""
    asked = config.cluster
    for missing in requirements.problems(
        asked.launcher, address=asked.address, workers=asked.workers, gpus_per_worker=asked.gpus_per_worker
    ):
        tree.problem(("cluster", missing.option), missing.what, missing.hint)


CHECKS: tuple[Check, ...] = (
    needs_are_made, workdir_is_local, workdir_is_writable, sources_match, other_artifacts_are_there,
    launcher_can_start, *fits.CHECKS,
)  # fmt: skip
