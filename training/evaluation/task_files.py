"""Files that a task reads: their content enters the fingerprint, their path does not, and no score holds a path.

A section names its options that are paths in `PATHS`, and in `PARSED` the parser of all of them, or of each by name,
so that a mistake in a file is reported before any work. The stage reads copies in its draft, which are checked against
the hashes of the plan. Pydantic only, no torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, TypedDict

from pipeline.core.config import Component
from pipeline.core.draft import Draft
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import JsonObject, replacing, sha256_file
from pipeline.core.job import Job, SourceFile, SourceFiles
from pipeline.core.registry import load
from training.evaluation import TASKS

FILES = "files"  # the folder of the copies, under the draft: not published
# a task as the parameters of a stage hold it: its name, or its options under its name
TaskParams: TypeAlias = str | dict[str, JsonObject]


class FileIdentity(TypedDict):
    """A file as the parameters of a stage hold it."""

    name: str
    sha256: str


def task_params(task: Component) -> TaskParams:
    """The task as it enters the fingerprint: each path is replaced by its file's name and sha256.

    Raises: UserError when a file does not exist.
    """
    options = dict(task.options)
    for option in getattr(TASKS.section(task.name), "PATHS", ()):
        if value := options.get(option):
            options[option] = _identity(value) if isinstance(value, str) else [_identity(path) for path in value]
    return {task.name: options} if options else task.name


def _identity(path: str) -> FileIdentity:
    return {"name": Path(path).name, "sha256": sha256_file(existing_file(path))}


def source_files(tasks: Sequence[Component]) -> list[SourceFiles]:
    """The input of `with_local_copies`: each task's files with their present path and the hash of their content."""
    sources: list[SourceFiles] = []
    for task in tasks:
        files = [existing_file(path) for path in paths(task)]
        entries: list[SourceFile] = [
            {"path": str(file.absolute()), "name": file.name, "size": file.stat().st_size, "sha256": sha256_file(file)}
            for file in files
        ]
        sources += [{"source": task.name, "reader": "file", "files": entries}] if entries else []
    return sources


def with_local_copies(tasks: Sequence[TaskParams], sources: Sequence[SourceFiles], folder: Path) -> list[TaskParams]:
    """The tasks of a job's params with paths again: of copies under `folder`, made from the job's sources.

    Raises: StageFailed when a file is gone, or has changed since the plan was made.
    """
    path_of = {file["sha256"]: Path(file["path"]) for source in sources for file in source["files"]}
    return [
        _with_paths(task, lambda file: str(_local_copy(file, path_of.get(file["sha256"]), folder))) for task in tasks
    ]


def in_draft(task: Component, folder: Path) -> JsonObject:
    """The options of a task whose files are copies under `folder`, with their paths relative to it."""
    return _map_paths(task.name, task.options, lambda path: str(Path(path).relative_to(folder)))


def with_draft_files(name: str, options: JsonObject, draft: Draft) -> JsonObject:
    """Options from `in_draft` with paths of this machine."""
    return _map_paths(name, options, lambda path: str(draft.file(path)))


def share(tasks: Sequence[Component], job: Job) -> None:
    """Let workers on other machines read the copies."""
    names = sorted({str(Path(path).relative_to(job.folder)) for task in tasks for path in paths(task)})
    if names:
        job.draft.share(f"{FILES}-{job.identity.attempt}", names)


def _map_paths(name: str, options: JsonObject, path_of: Callable[[str], str]) -> JsonObject:
    """Options with every path replaced."""
    mapped = dict(options)
    for option in getattr(TASKS.section(name), "PATHS", ()):
        if value := options.get(option):
            mapped[option] = path_of(value) if isinstance(value, str) else [path_of(path) for path in value]
    return mapped


def problems(tasks: Sequence[Component]) -> Iterator[tuple[int, str]]:
    """(number of the task, one sentence) for every file that does not exist or is not what its task reads."""
    for number, task in enumerate(tasks):
        parsers = getattr(TASKS.section(task.name), "PARSED", {})
        for option, path in _option_paths(task):
            parser = parsers if isinstance(parsers, str) else parsers.get(option)
            try:
                file = existing_file(path)
                if parser:
                    load(parser)(file)
            except UserError as error:
                yield number, str(error)


def paths(task: Component) -> list[str]:
    """The paths among a task's options, in their order."""
    return [path for _, path in _option_paths(task)]


def _option_paths(task: Component) -> list[tuple[str, str]]:
    """The paths with the option that each is in."""
    options = getattr(TASKS.section(task.name), "PATHS", ())
    values = [(option, task.options.get(option) or []) for option in options]
    return [(option, path) for option, value in values for path in ([value] if isinstance(value, str) else value)]


def existing_file(path: str) -> Path:
    """The file of a path.

    Raises: UserError when there is none, with the path as the user wrote it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file. Check the path; it is relative to the current directory.")
    return Path(path)


def _with_paths(task: TaskParams, path_of: Callable[[FileIdentity], str]) -> TaskParams:
    """A task of the params with a path for each {name, sha256}."""
    if isinstance(task, str):
        return task
    ((name, options),) = task.items()
    path_options = [option for option in getattr(TASKS.section(name), "PATHS", ()) if options.get(option)]
    with_paths: JsonObject = {}
    for option in path_options:
        value: FileIdentity | list[FileIdentity] = options[option]
        with_paths[option] = [path_of(file) for file in value] if isinstance(value, list) else path_of(value)
    return {name: {**options, **with_paths}}


def _local_copy(file: FileIdentity, source: Path | None, folder: Path) -> Path:
    # the hash is a folder of its own: a score is named by the file's name alone
    target = folder / FILES / file["sha256"][:16] / file["name"]
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
