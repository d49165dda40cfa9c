"""The name of the command as the user called it, for messages that show the next command."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def program() -> str:
    """`bloomery` if it is on the PATH; else its relative path, such as `.venv/bin/bloomery`."""
    called, on_path = Path(sys.argv[0]), shutil.which("bloomery")
    if called.name != "bloomery" or not called.exists() or (on_path and Path(on_path).samefile(called)):
        return "bloomery"
    near = os.path.relpath(called)
    return str(called) if near.startswith("..") else near


def command(verb: str, config: Path, overrides: Sequence[str] = (), flags: Sequence[str] = ()) -> str:
    """A command line for the user to type, quoted for the shell, with the overrides of this command."""
    return shlex.join([program(), verb, str(config), *overrides, *flags])
