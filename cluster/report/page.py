"""report.html: the page of one run, drawn from what the stages' tables give of their artifacts.

About half a second, most of it reading examples of what was dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.report.gather import Facts, gather
from cluster.report.templates import rendered
from cluster.run import Run
from pipeline.core.files import replacing
from pipeline.core.stage import StageSpec
from pipeline.core.store import Store


def write(run: Run, store: Store, specs: Sequence[StageSpec]) -> Path:
    """Draw the report of a run, finished or not, into its directory."""
    page = render(gather(run, store, specs), str(run.path / "config.yaml"))
    with replacing(run.report) as beside:
        beside.write_text(page, encoding="utf-8")
    return run.report


def render(facts: Facts, config_path: str) -> str:
    """The page of some facts."""
    return rendered("page.html.jinja", ("page.css",), facts=facts, config_path=config_path)
