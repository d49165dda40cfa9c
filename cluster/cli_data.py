"""The commands that look at the data of a run. A part of cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _workdir(place: str | Path) -> Path:
    """A work directory as the user names it: a folder, or a URL whose folder on this machine is meant."""
    from pipeline.core.places import local_workdir

    return local_workdir(place) if "://" in str(place) else Path(place)


@app.command()
def signals(
    name: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The directory or the name of a run.")] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", metavar="FILTER.OPTION=LIMIT",
            help="Show what the rule would drop with this limit, as quality.max_hash_signs=0.2; may be repeated.",
        ),
    ] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Derive limits by language from the text of the run, and print them as YAML.")
    ] = False,
    reference: Annotated[
        str, typer.Option(metavar="LANGUAGE", help="With --fit: the language whose limits are known.")
    ] = "en",
    language: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="Show this language.", show_default=False)
    ] = None,
    by_source: Annotated[bool, typer.Option("--by-source", help="Show each source of a language apart.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    workdir: Annotated[
        Path,
        typer.Option("--workdir", "-w", metavar="DIRECTORY", parser=_workdir, help="The work directory, or its URL."),
    ] = Path("work"),
) -> None:  # fmt: skip
    """Show the measured signals by language and source, try a rule, or derive limits. Runs no stage."""
    from cluster.commands.signals import signals as work

    work(
        workdir, name, rules=rules or [], fit=fit, reference=reference, language=language, by_source=by_source,
        as_json=as_json,
    )  # fmt: skip


@app.command()
def export_tokens(
    format_name: Annotated[str, typer.Option("--format", metavar="FORMAT", help="datasets, megatron or nanogpt.")],
    folder: Annotated[str, typer.Option("--to", metavar="FOLDER", help="The folder to write; it must not exist.")],
    name: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The directory or the name of a run.")] = None,
    workdir: Annotated[
        Path,
        typer.Option("--workdir", "-w", metavar="DIRECTORY", parser=_workdir, help="The work directory, or its URL."),
    ] = Path("work"),
) -> None:
    """Write the packed tokens of a run for another program: datasets, Megatron-LM or nanoGPT."""
    from cluster.commands.export_tokens import export_tokens as work

    work(workdir, name, format_name=format_name, folder=folder)
