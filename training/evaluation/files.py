"""Files that a task reads: what they are enters the fingerprint, where they lie does not, and no score tells a path.

A section names its options that are paths in `PATHS`, and in `PARSED` the parser of them all, or of each by name, where
a mistake in a file can be told before any work. The stage reads copies in its draft, checked against the hashes of the
plan. Pydantic only, no torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.config import Component
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import replacing, sha256_file
from pipeline.core.registry import load
from pipeline.core.stage import SourceFile, SourceFiles
from training.evaluation import TASKS

FILES = "files"  # the folder of the copies, under the draft: gone at publication


def identified(task: Component) -> Any:
    """The task as it enters the fingerprint: each path has become its file's name and sha256.

    Raises: UserError when a file is not there.
    """
    return _plain(task, lambda path: {"name": Path(path).name, "sha256": sha256_file(present(path))})


def sources(tasks: Sequence[Component]) -> list[SourceFiles]:
    """What `placed` is given: each task's files with the path where they lie now and the hash of what they hold."""
    found: list[SourceFiles] = []
    for task in tasks:
        files = [present(path) for path in paths(task)]
        entries: list[SourceFile] = [
            {"path": str(file.absolute()), "name": file.name, "size": file.stat().st_size, "sha256": sha256_file(file)}
            for file in files
        ]
        found += [{"source": task.name, "reader": "file", "files": entries}] if entries else []
    return found


def placed(tasks: Sequence[Any], given: Sequence[SourceFiles], folder: Path) -> list[Any]:
    """The tasks of a job's params with paths again: of copies under `folder`, made from the job's sources.

    Raises: StageFailed when a file is gone, or is no longer what the plan read.
    """
    where = {file["sha256"]: Path(file["path"]) for source in given for file in source["files"]}
    return [_with_paths(task, lambda file: str(_copied(file, where.get(file["sha256"]), folder))) for task in tasks]


def problems(tasks: Sequence[Component]) -> Iterator[tuple[int, str]]:
    """(which task, one sentence) for every file that is not there or is not what its task reads."""
    for at, task in enumerate(tasks):
        parsers = getattr(TASKS.section(task.name), "PARSED", {})
        for option, path in _named(task):
            parse = parsers if isinstance(parsers, str) else parsers.get(option)
            try:
                file = present(path)
                if parse:
                    load(parse)(file)
            except UserError as error:
                yield at, str(error)


def paths(task: Component) -> list[str]:
    """The paths among a task's options, in their order."""
    return [path for _, path in _named(task)]


def _named(task: Component) -> list[tuple[str, str]]:
    """The paths with the option that each stands in."""
    options = getattr(TASKS.section(task.name), "PATHS", ())
    values = [(option, task.options.get(option) or []) for option in options]
    return [(option, path) for option, value in values for path in ([value] if isinstance(value, str) else value)]


def present(path: str) -> Path:
    """The file of a path.

    Raises: UserError when there is none, with the path as the user wrote it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file. Check the path; it is relative to the current directory.")
    return Path(path)


def _plain(task: Component, change: Callable[[str], Any]) -> Any:
    options = dict(task.options)
    for option in getattr(TASKS.section(task.name), "PATHS", ()):
        if value := options.get(option):
            options[option] = change(value) if isinstance(value, str) else [change(path) for path in value]
    return {task.name: options} if options else task.name


def _with_paths(task: Any, change: Callable[[dict[str, Any]], str]) -> Any:
    """A task of the params (`name` or {name: options}) with each {name, sha256} changed."""
    if isinstance(task, str):
        return task
    ((name, options),) = task.items()
    known = [option for option in getattr(TASKS.section(name), "PATHS", ()) if options.get(option)]
    changed = {
        option: change(value) if isinstance(value := options[option], dict) else [change(file) for file in value]
        for option in known
    }
    return {name: {**options, **changed}}


def _copied(file: Mapping[str, Any], source: Path | None, folder: Path) -> Path:
    # the hash is a folder of its own: a score is named by the file's name alone
    target: Path = folder / FILES / file["sha256"][:16] / file["name"]
    if not target.exists():
        if source is None or not source.is_file():
            raise StageFailed(f"evaluate: {source or file['name']} is gone since the plan was made. Put it back.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as beside:
            shutil.copyfile(source, beside)
    if sha256_file(target) != file["sha256"]:
        target.unlink()
        raise StageFailed(f"evaluate: {source} changed after the plan was made. Run the same command again.")
    return target
