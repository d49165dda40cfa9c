"""What a worker reads and holds when training resumes with another number of workers, by engine.

    python tests/benchmarks/bench_resume.py [--width 512] [--layers 8] [--engines plain zero-2] [--old FOLDER]

A GPT is saved by two workers after a step and resumed by three. Printed for each worker, in bytes a parameter: what it
reads of the checkpoint, and how much higher its memory peaks than where training starts anew. With --old, the same of
another version of the project, whose folder is given; versions before October 2026 do not count what they read. Some
minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measured import table

TOY = "--width 32 --layers 1 --engines plain"  # the arguments with which the tests run this file

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
SAVED_BY, RESUMED_BY = 2, 3
ENGINES = ("plain", "zero-0", "zero-1", "zero-2", "zero-3")


def gang(tree: Path, folder: Path, *, world: int, until: int) -> list[dict[str, Any]]:
    """Prepare the training in a gang, and train to step `until`; the figures of every worker."""
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "resume_worker.py"), str(world), str(rank), str(folder), str(until)],
            env={**os.environ, "LOCAL_RANK": str(rank), "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(world)
    ]  # fmt: skip
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("\n".join(printed))
    return [json.loads((folder / f"figures-{world}-{rank}.json").read_text()) for rank in range(world)]


def figures(name: str, tree: Path, engine: str, chosen: argparse.Namespace) -> list[object]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        spec = [sys.executable, str(HERE / "resume_spec.py"), temporary, engine, str(chosen.width), str(chosen.layers)]
        subprocess.run(spec, check=True, env={**os.environ, "PYTHONPATH": str(tree)})
        saving = gang(tree, folder, world=SAVED_BY, until=1)
        resumed = gang(tree, folder, world=RESUMED_BY, until=0)
        file_bytes = sum(path.stat().st_size for path in folder.rglob("rank-*"))
    parameters, fresh = saving[0]["parameters"], min(worker["peak"] for worker in saving)
    read = [worker["read"] for worker in resumed]
    return [
        engine, name, f"{parameters / 1e6:.1f} M", f"{file_bytes / parameters:.1f}",
        "not counted" if None in read else " ".join(f"{count / parameters:.1f}" for count in read),
        " ".join(f"{(worker['peak'] - fresh) / parameters:.1f}" for worker in resumed),
    ]  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--width", type=int, default=512)
    options.add_argument("--layers", type=int, default=8)
    options.add_argument("--engines", nargs="*", default=ENGINES)
    options.add_argument("--old", type=Path)
    chosen = options.parse_args()
    trees = {"now": ROOT} | ({"old": chosen.old.absolute()} if chosen.old else {})
    rows = [figures(name, tree, engine, chosen) for engine in chosen.engines for name, tree in trees.items()]
    header = ["engine", "version", "parameters", "checkpoint", "read by each worker", "peak of each above a new start"]
    table(f"Resuming with {RESUMED_BY} workers what {SAVED_BY} saved, bytes a parameter", header, rows)


if __name__ == "__main__":
    main()
