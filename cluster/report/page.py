"""report.html: the page of one run, rendered from the reports of its stages; data-card.md beside it.

Takes about half a second, most of it to read examples of dropped documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.report.gather import CONFIG, RunReport, gather
from cluster.report.markdown import markdown
from cluster.report.templates import rendered
from cluster.run import Run
from pipeline.core.files import replacing
from pipeline.core.stage import StageSpec
from pipeline.core.store import Store


def write(run: Run, store: Store, specs: Sequence[StageSpec]) -> Path:
    """Write the report of a run, finished or not, into its directory."""
    facts = gather(run, store, specs)
    page = render(facts, str(run.path / CONFIG))
    with replacing(run.report) as beside:
        beside.write_text(page, encoding="utf-8")
    if facts.card is not None:
        with replacing(run.data_card) as beside:
            beside.write_text(markdown(facts.title, facts.card, facts.chapters), encoding="utf-8")
    return run.report


def render(facts: RunReport, config_path: str) -> str:
    """The page as HTML."""
    return rendered("page.html.jinja", ("page.css",), facts=facts, config_path=config_path)
