"""The commands that run many configurations: sweep and compare. See `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
RunFile = Annotated[Path, typer.Argument(help="The YAML file of the run.", show_default=False)]
Assignments = Annotated[
    list[str] | None, typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Values that override those of the file.")
]


@app.command()
def sweep(
    config: RunFile,
    grid: Annotated[
        list[str], typer.Argument(metavar="SECTION.KEY=A,B,...", help="Lists of values; every combination is run.")
    ],
    end: Annotated[str | None, typer.Option("--to", metavar="STEP", help="The last step or stage of each run.")] = None,
) -> None:
    """Run every combination of the given values and compare the scores. Shared stages run once."""
    from cluster.commands.sweep import sweep as work

    raise typer.Exit(work(config, grid, end=end))


@app.command()
def compare(
    config: Annotated[
        Path, typer.Argument(metavar="COMPARISON", help="The YAML file of the comparison.", show_default=False)
    ],
    overrides: Assignments = None,
) -> None:
    """Run every entry of a comparison on every corpus and write one page. The same command resumes."""
    from cluster.commands.compare import compare as work

    raise typer.Exit(work(config, overrides or []))
