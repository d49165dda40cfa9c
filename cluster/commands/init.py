"""`init`: write the commented configuration that lies beside this file."""

from __future__ import annotations

from pathlib import Path

from cluster.program import program
from pipeline.core.errors import UserError

TEMPLATE = Path(__file__).with_name("init.yaml")


def init(path: Path, *, force: bool) -> None:
    """Write it; a file that is there stays unless forced.

    Raises: UserError when the file is there or its folder is not.
    """
    if path.exists() and not force:
        raise UserError(f"{path}: is there already. Choose another name, or write over it with --force.")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}. Make it first.")
    text = TEMPLATE.read_text(encoding="utf-8").replace("THIS_FILE", str(path))
    path.write_text(text, encoding="utf-8")
    print(f"{path}: written. Name your files under ingest.sources, then: {program()} check {path}")
