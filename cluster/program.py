"""How the command was called, for the lines that say what to type next."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program() -> str:
    """`bloomery` where the shell finds it; else the way to it from here, such as `.venv/bin/bloomery`."""
    called, found = Path(sys.argv[0]), shutil.which("bloomery")
    if called.name != "bloomery" or not called.exists() or (found and Path(found).samefile(called)):
        return "bloomery"
    near = os.path.relpath(called)
    return str(called) if near.startswith("..") else near
