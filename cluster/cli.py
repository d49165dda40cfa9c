"""The command line interface `bloomery`: arguments, options and help. Commands import their implementation when called.

Exit codes: 0 success, 1 failure during the work, 2 invalid input, 130 stopped by Ctrl-C. `--help` takes 0.1 s.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli_data import app as data
from cluster.cli_jobs import app as jobs
from cluster.cli_many import app as many
from cluster.streams import flush_quietly, open_closed_streams, silence

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Train language models from raw text: one YAML file, one command, an evaluated and exported model.",
)  # fmt: skip

app.add_typer(data)
app.add_typer(jobs)
app.add_typer(many)
LARGEST = (1 << 63) - 1  # seeds and steps are stored as signed 64-bit numbers

Config = Annotated[Path, typer.Argument(help="The YAML file of the run.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Values that override those of the file.")
]


def _workdir(place: str | Path) -> Path:
    """A work directory as the user names it: a folder, or a URL whose folder on this machine is meant."""
    from pipeline.core.places import local_workdir

    return local_workdir(place) if "://" in str(place) else Path(place)


Workdir = Annotated[
    Path, typer.Option("--workdir", "-w", metavar="DIRECTORY", parser=_workdir, help="The work directory, or its URL.")
]
Of = Annotated[
    str | None,
    typer.Option("--of", metavar="NAME", help="The model to use, if the run has several.", show_default=False),
]
RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="The directory or the name of a run.")]


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("bloomery.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration for your own JSON Lines files."""
    from cluster.commands.init import init as work

    work(path, force=force)


@app.command()
def check(config: Config, overrides: Overrides = None) -> None:
    """Validate a configuration and report all problems, without running anything."""
    from cluster.commands.check import check as work

    work(config, overrides or [])


@app.command()
def plan(
    config: Config,
    overrides: Overrides = None,
    hardware: Annotated[
        str | None, typer.Option(metavar="GPU", help="Estimate for a GPU (h100, a100, ...), not for this machine.")
    ] = None,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", min=0.0, help="Euros that an hour of everything costs.")
    ] = None,
) -> None:
    """Show which stages a run would execute, why, and what training will need."""
    from cluster.commands.check import show_plan as work

    work(config, overrides or [], hardware=hardware, price=price)


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    start: Annotated[str | None, typer.Option("--from", metavar="STEP", help="The first step or stage to run.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="STEP", help="The last step or stage to run.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run the selected stages again, even if they are cached.")
    ] = False,
) -> None:
    """Run the stages that are not cached. After a failure or a kill, the same command resumes."""
    from cluster.commands.run import run as work

    raise typer.Exit(work(config, overrides or [], start=start, end=end, force=force))


@app.command()
def runs(workdir: Workdir = Path("work")) -> None:
    """List the runs of a work directory and their state."""
    from cluster.commands.runs import runs as work

    work(workdir)


@app.command()
def report(name: RunName = None, workdir: Workdir = Path("work")) -> None:
    """Write the report of a run again and print its path."""
    from cluster.commands.runs import report as work

    work(workdir, name)


@app.command()
def sample(
    name: RunName = None,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="A prompt to continue; may be repeated.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, max=LARGEST, help="Number of tokens to generate.")] = 120,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Sampling temperature; 0 always takes the most likely token.")
    ] = 0.8,
    top: Annotated[
        int, typer.Option("--top-k", min=0, max=LARGEST, help="Sample from the k most likely tokens; 0: from all.")
    ] = 50,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Random seed.")] = 17,
    of: Of = None,
    workdir: Workdir = Path("work"),
) -> None:
    """Generate text with a model of a run."""
    from cluster.commands.sample import sample as work
    from pipeline.core.sampling import SamplingOptions

    work(workdir, name, prompts or [], SamplingOptions(tokens, temperature, top or None, seed), of=of)


@app.command()
def trace(
    name: RunName = None,
    step: Annotated[
        int | None, typer.Option(min=0, max=LARGEST, help="Show the documents of this training step.")
    ] = None,
    document: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Show the steps that trained on this document: an ID, its first characters, or the record's own ID.",
        ),
    ] = None,
    anomalies: Annotated[
        bool, typer.Option("--anomalies", help="Show the batches that were not finite or a spike, and their documents.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    of: Of = None,
    workdir: Workdir = Path("work"),
) -> None:
    """Show the documents of a training step, or the training steps of a document and the file it came from."""
    from cluster.commands.trace import trace as work

    work(workdir, name, step=step, document=document, anomalies=anomalies, of=of, as_json=as_json)


@app.command()
def top(
    name: RunName = None,
    once: Annotated[bool, typer.Option("--once", help="Print one screen and exit.")] = False,
    workdir: Workdir = Path("work"),
) -> None:
    """Show what a run is doing: stages, tasks, ranks and the last events. Reads its records alone, from any machine."""
    from cluster.commands.top import top as work

    raise typer.Exit(work(workdir, name, once=once))


@app.command()
def doctor(
    workdir: Workdir = Path("work"),
    beam: Annotated[
        Path | None,
        typer.Option("--beam", metavar="CONFIG", help="Run a toy step on the runner that this configuration names."),
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", metavar="CONFIG", help="Measure the Ray cluster that this configuration names."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Check this machine: hardware, and whether the installed libraries match the tested versions."""
    if beam is not None:
        from cluster.commands.doctor_beam import doctor_beam
        from cluster.config import load

        raise typer.Exit(doctor_beam(load(beam, overrides or ())))
    if cluster is not None:
        from cluster.commands.doctor_cluster import doctor_cluster

        raise typer.Exit(doctor_cluster(cluster, overrides or ()))
    from cluster.commands.doctor import doctor as work

    raise typer.Exit(work(workdir))


def reject_undecodable_arguments(arguments: Sequence[str]) -> None:
    """Python decodes bytes that are not UTF-8 to surrogate characters, which cannot be encoded again.

    Raises: UserError for an argument that contains such bytes.
    """
    from pipeline.core.errors import UserError

    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"argument {number} ({ascii(argument)}) is not UTF-8. Write it in a terminal whose encoding is UTF-8, "
                "or convert it, as with: iconv -f latin1 -t utf-8"
            ) from None


def main() -> None:
    """The entry point: turns known errors and limits of the machine into a message and an exit code."""
    gc.set_threshold(20_000)  # what is imported stays: to look through it more often takes a tenth of the time
    try:
        _run_command()
    except (MemoryError, OSError, ImportError) as error:
        sys.exit(_shortage_message(error))
    finally:
        flush_quietly()


def _shortage_message(error: Exception) -> str:
    """The message for a limit of the machine.

    Raises: the error itself if it is not such a limit.
    """
    from pipeline.core.shortage import PROBLEMS, shortage_of

    shortage = shortage_of(error) or shortage_of(error.__cause__ or error)
    if shortage is None:
        raise error
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    remedy = ", with a higher limit (ulimit -v) or more memory" if shortage == "memory" else ""
    return f"{PROBLEMS[shortage]}{where}. What is finished is kept; run the same command again{remedy}."


def _run_command() -> None:
    from cluster.machine import require_address_space
    from pipeline.core.errors import BloomeryError
    from pipeline.core.registry import add_plugin_folder

    open_closed_streams()
    # OpenBLAS would reserve memory for every core, and abort if it cannot; this process multiplies no matrices
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "✓" shows "?"
    add_plugin_folder(Path.cwd())  # all commands load plug-ins from the same folder
    try:
        reject_undecodable_arguments(sys.argv[1:])
        require_address_space()
        app()
    except BloomeryError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        silence(sys.stdout)
        sys.exit(1)


if __name__ == "__main__":
    main()
