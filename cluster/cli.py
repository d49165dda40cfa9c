"""The command `bloomery`. This file only says what can be asked; each command's work is imported when it is asked for.

Exit codes: 0 done, 1 failed while working, 2 the input is wrong (130: stopped by Ctrl-C). `--help` takes 0.1 s.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cluster.streams import flush_quietly, open_closed_streams, silence

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Raw text in, an evaluated and exported language-model checkpoint out: one command, one YAML.",
)  # fmt: skip

LARGEST = (1 << 63) - 1  # what a 64-bit number holds: seeds and steps become one

Config = Annotated[Path, typer.Argument(help="The run's YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Values that replace the file's.")
]
Workdir = Annotated[Path, typer.Option("--workdir", "-w", help="The work directory.")]
Of = Annotated[
    str | None, typer.Option("--of", metavar="NAME", help="Which model, where the run has several.", show_default=False)
]
RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's directory or its name.")]


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("bloomery.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented configuration for your own JSONL files."""
    from cluster.commands.init import init as work

    work(path, force=force)


@app.command()
def check(config: Config, overrides: Overrides = None) -> None:
    """Say everything that is wrong with a configuration; nothing is run."""
    from cluster.commands.check import check as work

    work(config, overrides or [])


@app.command()
def plan(config: Config, overrides: Overrides = None) -> None:
    """Say what a run would do, stage by stage, and why."""
    from cluster.commands.check import show_plan as work

    work(config, overrides or [])


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    start: Annotated[str | None, typer.Option("--from", metavar="STEP", help="Begin with this step or stage.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="STEP", help="End with this step or stage.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Do them again, published or not.")] = False,
) -> None:
    """Run what is not done yet; after a kill or a failure the same command goes on."""
    from cluster.commands.run import run as work

    raise typer.Exit(work(config, overrides or [], start=start, end=end, force=force))


@app.command()
def runs(workdir: Workdir = Path("work")) -> None:
    """List the runs of a work directory, with their state."""
    from cluster.commands.runs import runs as work

    work(workdir)


@app.command()
def report(name: RunName = None, workdir: Workdir = Path("work")) -> None:
    """Draw a run's report again and say where it is."""
    from cluster.commands.runs import report as work

    work(workdir, name)


@app.command()
def sample(
    name: RunName = None,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="What to continue; may be repeated.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, max=LARGEST, help="How many tokens to write.")] = 120,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 0.8,
    top: Annotated[
        int, typer.Option("--top-k", min=0, max=LARGEST, help="Choose among the k likeliest; 0: among all.")
    ] = 50,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Another seed draws another text.")] = 17,
    of: Of = None,
    workdir: Workdir = Path("work"),
) -> None:
    """Let a run's model write."""
    from cluster.commands.sample import sample as work
    from pipeline.core.sampling import SamplingOptions

    work(workdir, name, prompts or [], SamplingOptions(tokens, temperature, top or None, seed), of=of)


@app.command()
def trace(
    name: RunName = None,
    step: Annotated[int | None, typer.Option(min=0, max=LARGEST, help="Which documents were in this step?")] = None,
    document: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="In which steps was this document seen? An id, its beginning, or the record's own id."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    of: Of = None,
    workdir: Workdir = Path("work"),
) -> None:
    """Which documents a training step saw, or which steps saw a document, and where it came from."""
    from cluster.commands.trace import trace as work

    work(workdir, name, step=step, document=document, of=of, as_json=as_json)


@app.command()
def doctor(workdir: Workdir = Path("work")) -> None:
    """Say what this machine has, and whether the libraries that were tried together are the ones installed."""
    from cluster.commands.doctor import doctor as work

    raise typer.Exit(work(workdir))


@app.command()
def sweep(
    config: Config,
    grid: Annotated[list[str], typer.Argument(metavar="SECTION.KEY=A,B,...", help="Values to try, every combination.")],
    end: Annotated[
        str | None, typer.Option("--to", metavar="STEP", help="End each run with this step or stage.")
    ] = None,
) -> None:
    """Run every combination of some values and compare their scores; what they share is done once."""
    from cluster.commands.sweep import sweep as work

    raise typer.Exit(work(config, grid, end=end))


@app.command()
def compare(
    config: Annotated[Path, typer.Argument(metavar="COMPARISON", help="The comparison's YAML.", show_default=False)],
    overrides: Overrides = None,
) -> None:
    """Run every entry of a comparison on every corpus, and draw one page; the same command goes on."""
    from cluster.commands.compare import compare as work

    raise typer.Exit(work(config, overrides or []))


def refuse_broken_text(arguments: Sequence[str]) -> None:
    """Python hides bytes that are no UTF-8 in characters that can be neither encoded nor written.

    Raises: UserError for an argument that holds some.
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
    """The entry point: errors of ours, and limits of the machine, become one message and an exit code."""
    try:
        _run_command()
    except (MemoryError, OSError, ImportError) as error:
        sys.exit(_limit(error))
    finally:
        flush_quietly()


def _limit(error: Exception) -> str:
    """A limit of the machine in one sentence.

    Raises: the error itself where it is no such limit.
    """
    from pipeline.core.shortage import PROBLEMS, shortage_of

    shortage = shortage_of(error) or shortage_of(error.__cause__ or error)
    if shortage is None:
        raise error
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    remedy = ", with a higher limit (ulimit -v) or more memory" if shortage == "memory" else ""
    return f"{PROBLEMS[shortage]}{where}. What is finished is kept; run the same command again{remedy}."


def _run_command() -> None:
    from pipeline.core.errors import BloomeryError
    from pipeline.core.registry import add_plugin_folder

    open_closed_streams()
    # this process multiplies no matrices; OpenBLAS would set memory aside for every core, and abort without it
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "✓" gets a "?"
    add_plugin_folder(Path.cwd())  # every command finds the same plug-ins
    try:
        refuse_broken_text(sys.argv[1:])
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
