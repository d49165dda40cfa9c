"""`run`: validates the configuration, then runs it under the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.config import load


def run(path: Path, overrides: Sequence[str], *, start: str | None, end: str | None, force: bool) -> int:
    """The exit code of the run.

    Raises: ConfigError, UserError before any work; WorkdirLocked when another run holds the work directory.
    """
    loaded = load(path, overrides)
    # imports pyarrow: only after the configuration is known to be right
    from cluster.console import console
    from cluster.execute import execute
    from cluster.result import RunOptions

    screen = console()
    try:
        for remark in loaded.remarks:
            screen.say(str(remark))
        return execute(loaded, RunOptions(start, end, force), screen).exit_code
    finally:
        screen.close()
