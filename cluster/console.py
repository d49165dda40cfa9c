"""Console output of a run: a live progress line on a terminal, a plain line every few seconds elsewhere.

Both show the stage, its progress, its speed and the time left, and one line per finished stage. `rich` is imported only
on a terminal.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from cluster.progress import StageProgress
from cluster.streams import silence

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

EVERY_S = 5.0  # between two plain lines of a stage
FIRST_S = 2.0  # a shorter stage prints no progress line
REFRESH_S = 0.1
MARKS = {"done": "✓", "skipped": "=", "failed": "✗", "stopped": "■"}


class Console:
    """Plain lines; the base class of the live console."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.width = 9
        self.place = ""
        self._next = 0.0

    def stages(self, names: list[str]) -> None:
        """Set the stages to come, whose names decide the width of the first column."""
        self.width = max(map(len, names), default=9)

    def begin(self, number: int, total: int, stage: str) -> None:
        """Start a stage: the next lines are about it."""
        self.place = f"[{number}/{total}] {stage:<{self.width}}"
        self._next = time.monotonic() + FIRST_S

    def update(self, progress: StageProgress) -> None:
        """Show progress, at most every few seconds; may be called often."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_S
            self.say(f"{self.place}   {progress.line(now)}")

    def end(self, mark: str, text: str) -> None:
        """Print the line of a finished stage."""
        self.say(f"{self.place} {MARKS[mark]} {text}")

    def say(self, text: str = "") -> None:
        try:
            print(text, file=self.stream, flush=True)
        except OSError:  # the reader is gone or its disk is full; events and log are complete
            silence(self.stream)

    def close(self) -> None:
        """Restore the terminal."""


class Terminal(Console):
    """A live line below the finished ones. It has no thread: it is redrawn when the supervisor calls."""

    COLOURS = {"done": "green", "skipped": "bright_black", "failed": "red", "stopped": "yellow"}

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console as RichConsole

        self.rich = RichConsole(file=stream, highlight=False)
        self._live: Live | None = None

    def update(self, progress: StageProgress) -> None:
        now = time.monotonic()
        if now < self._next and self._live is not None:
            return
        self._next = now + REFRESH_S
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=self.rich, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._progress_row(progress, now), refresh=True)

    def _progress_row(self, progress: StageProgress, now: float) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        share = progress.share
        bar = ProgressBar(
            total=1.0, completed=share or 0.0, width=20, pulse=share is None, animation_time=now, style="bright_black",
            complete_style="red", finished_style="green", pulse_style="red",
        )  # fmt: skip
        row = Table.grid(padding=(0, 1))
        row.add_row(Text(self.place, style="bold"), bar, Text(progress.line(now), overflow="ellipsis", no_wrap=True))
        return row

    def end(self, mark: str, text: str) -> None:
        self.close()
        from rich.text import Text

        line = Text.assemble((self.place, "bold"), " ", (MARKS[mark], self.COLOURS[mark]), " ")
        self.rich.print(line + Text(text, style="bright_black" if mark == "skipped" else ""))

    def say(self, text: str = "") -> None:
        self.rich.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def console(stream: TextIO | None = None) -> Console:
    """The console for a stream (default: standard output): live on a terminal, plain lines elsewhere."""
    target = sys.stdout if stream is None else stream
    return Terminal(target) if target.isatty() else Console(target)
