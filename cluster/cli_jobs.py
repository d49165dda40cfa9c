"""The commands for runs on a Ray cluster elsewhere: submit, status, logs and stop. A part of cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="URL", show_default=False,
        help="The head of the cluster, as http://head:8265; else RAY_API_SERVER_ADDRESS or RAY_ADDRESS.",
    ),
]  # fmt: skip
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that `submit` printed.", show_default=False)]


@app.command()
def submit(
    config: Annotated[Path, typer.Argument(help="The YAML file of the run.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Values that override those of the file."),
    ] = None,
    address: Address = None,
    shared: Annotated[
        list[str] | None,
        typer.Option("--shared", metavar="FOLDER", help="A folder that all hosts mount at this path; may be repeated."),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME", help="An environment variable to pass on, encrypted; may be repeated."),
    ] = None,
    include: Annotated[
        list[Path] | None,
        typer.Option("--include", metavar="PATH", help="A file or folder that plug-ins read; may be repeated."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="STEP", help="The first step or stage to run.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="STEP", help="The last step or stage to run.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run the selected stages again, even if they are cached.")
    ] = False,
    job: Annotated[str | None, typer.Option("--id", metavar="JOB", help="An id of your own for the job.")] = None,
    python: Annotated[str, typer.Option("--python", metavar="PATH", help="The interpreter on the head.")] = "python",
    any_versions: Annotated[
        bool, typer.Option("--any-versions", help="Run though the cluster has other versions of libraries.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow the log until the job ends.")] = True,
) -> None:
    """Run a configuration on a Ray cluster. The job goes on if this command ends; the exit code is the job's."""
    from cluster.commands.submit import SubmitOptions
    from cluster.commands.submit import submit as work

    flags = [*(["--from", start] if start else []), *(["--to", end] if end else []), *(["--force"] if force else [])]
    options = SubmitOptions(
        address, tuple(shared or ()), tuple(include or ()), tuple(variables or ()), tuple(flags), job, python,
        any_versions, wait,
    )  # fmt: skip
    raise typer.Exit(work(config, overrides or [], options))


@app.command()
def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="The id of a job; all without.")] = None,
    address: Address = None,
) -> None:
    """Show the state of a submitted job, or of all jobs of a cluster."""
    from cluster.commands.jobs import status as work

    work(job, address)


@app.command()
def logs(
    job: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the job ends; the exit code is the job's.")
    ] = False,
    address: Address = None,
) -> None:
    """Print what a submitted job has printed."""
    from cluster.commands.jobs import logs as work

    raise typer.Exit(work(job, address, following=follow))


@app.command()
def stop(job: JobId, address: Address = None) -> None:
    """Stop a submitted job: what it is doing is saved, and submitting the run again resumes it."""
    from cluster.commands.jobs import stop as work

    raise typer.Exit(work(job, address))
