"""How the command was called, for the lines that say what to type next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def program() -> str:
    """`bloomery` where the shell finds it; else the way to it from here, such as `.venv/bin/bloomery`."""
    called, on_path = Path(sys.argv[0]), shutil.which("bloomery")
    if called.name != "bloomery" or not called.exists() or (on_path and Path(on_path).samefile(called)):
        return "bloomery"
    near = os.path.relpath(called)
    return str(called) if near.startswith("..") else near


def command(verb: str, config: Path, overrides: Sequence[str] = (), flags: Sequence[str] = ()) -> str:
    """A command line to type next, quoted for the shell, with the overrides that this one was given."""
    return shlex.join([program(), verb, str(config), *overrides, *flags])
