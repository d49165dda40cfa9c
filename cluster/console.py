"""What a run says while it works: a live line on a terminal, a plain line every few seconds anywhere else.

Both say the same: which stage, how far, how fast, how long still; and a line a stage when it is over. `rich` is
imported only on a terminal.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from cluster.progress import StageProgress
from cluster.streams import silence

if TYPE_CHECKING:
    from rich.live import Live

EVERY_S = 5.0  # between two plain lines of a stage
FIRST_S = 2.0  # a stage that is over sooner says nothing in between
REFRESH_S = 0.1
MARKS = {"done": "✓", "skipped": "=", "failed": "✗", "stopped": "■"}


class Console:
    """Plain lines; also the base of the live one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.width = 9
        self.place = ""
        self._next = 0.0

    def stages(self, names: list[str]) -> None:
        """The stages to come, for the numbering and the width of their names."""
        self.width = max(map(len, names), default=9)

    def begin(self, number: int, total: int, stage: str) -> None:
        """A stage is next: what follows is about it."""
        self.place = f"[{number}/{total}] {stage:<{self.width}}"
        self._next = time.monotonic() + FIRST_S

    def update(self, progress: StageProgress) -> None:
        """Called often; speaks seldom."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_S
            self.say(f"{self.place}   {progress.line(now)}")

    def end(self, mark: str, text: str) -> None:
        """The stage is over: one line."""
        self.say(f"{self.place} {MARKS[mark]} {text}")

    def say(self, text: str = "") -> None:
        try:
            print(text, file=self.stream, flush=True)
        except OSError:  # nobody reads any more, or the disk of the output is full: events and log have it all
            silence(self.stream)

    def close(self) -> None:
        """Leave the terminal as it was."""


class Terminal(Console):
    """A live line under the finished ones. No thread: it is drawn when the supervisor calls."""

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

    def _progress_row(self, progress: StageProgress, now: float) -> Any:
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
    """The console for a stream (standard output): live on a terminal, plain lines otherwise."""
    target = sys.stdout if stream is None else stream
    return Terminal(target) if target.isatty() else Console(target)
