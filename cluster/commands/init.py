"""`init`: writes the commented configuration init.yaml."""

from __future__ import annotations

from pathlib import Path

from cluster.program import program
from pipeline.core.errors import UserError

TEMPLATE = Path(__file__).with_name("init.yaml")


def init(path: Path, *, force: bool) -> None:
    """Write the file; an existing file is overwritten only with `force`.

    Raises: UserError if the file exists or its folder does not.
    """
    if path.exists() and not force:
        raise UserError(f"{path} already exists. Choose another name, or overwrite it with --force.")
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist. Create it first.")
    text = TEMPLATE.read_text(encoding="utf-8").replace("THIS_FILE", str(path))
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {path}. Set the paths of your files under ingest.sources, then run: {program()} check {path}")
