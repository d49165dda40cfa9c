"""A local folder of a model, as `save_pretrained` writes it: its identity, and its files for every process.

Weights are read from safetensors alone; other files of weights (pickles) enter neither identity nor any process, and
code in the folder is never run. JSON only, no torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing, sha256_file, version_of
from pipeline.core.job import Job, SourceFiles
from training.models.sections import hf

FOLDER_SOURCE = "folder"  # the source of a job that is the model's folder
PLACE = "model"  # its files in the draft; not published
SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja")  # config, weights, files of any tokenizer


def folder_problem(folder: Path) -> str | None:
    """Why no model can be loaded from a folder, from its names and its config.json alone; None if one can."""
    if problem := hf.folder_problem(folder):
        return problem
    if not (folder / "tokenizer.json").is_file():
        return f"{folder} has no tokenizer.json, the file of a fast tokenizer. Save it there with save_pretrained."
    return None


def folder_identity(folder: str) -> dict[str, str]:
    """Name → sha256 of every file that the model may be loaded from."""
    return {file["name"]: file["sha256"] for file in folder_source(folder)["files"]}


def folder_source(folder: str) -> SourceFiles:
    """The folder as a source of the job."""
    root = Path(folder)
    files = sorted(path for path in root.iterdir() if path.suffix in SUFFIXES and path.is_file())
    return {
        "source": FOLDER_SOURCE, "reader": "file", "folder": str(root.absolute()),
        "files": [
            {"path": str(file.absolute()), "name": file.name, "sha256": _digest(file, version_of(file.stat()))}
            for file in files
        ],
    }  # fmt: skip


@lru_cache(1024)
def _digest(path: Path, file_version: str) -> str:
    return sha256_file(path)


def share_folder(job: Job) -> list[str]:
    """Bring the files of the model's folder into the draft, where every process can read them; their paths in it.

    Raises: StageFailed when one changed after the run was planned.
    """
    folders = [source for source in job.sources if source["source"] == FOLDER_SOURCE]
    files = [file for source in folders for file in source["files"]]
    (job.folder / PLACE).mkdir(parents=True, exist_ok=True)
    for file in files:
        target = job.folder / PLACE / file["name"]
        if not target.exists():
            with replacing(target) as beside:
                shutil.copyfile(file["path"], beside)
        if sha256_file(target) != file["sha256"]:
            target.unlink()
            raise StageFailed(f"annotate: {file['path']} changed after the run was planned. Run again.")
    names = [f"{PLACE}/{file['name']}" for file in files]
    if names:
        job.draft.share(f"{PLACE}-{job.identity.attempt}", names)
    return names


def link_files(files: Sequence[tuple[str, Path]], folder: Path) -> None:
    """Give files that lie anywhere on this machine their names below `folder`."""
    for name, path in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path.absolute())
