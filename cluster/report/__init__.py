"""report.html: one file that needs nothing else, for people who were not there.

What the page shows comes from `gather`; text is escaped by the template engine, drawings by `charts` and `funnel`.
About half a second, most of it reading examples of what was dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import figures
from pipeline.core.files import replacing

if TYPE_CHECKING:
    from cluster.run import Run
    from pipeline.core.store import Store

HERE = Path(__file__).parent


def write(run: Run, store: Store) -> Path:
    """Draw the report of a run, finished or not, into its directory."""
    from cluster.report.gather import gather

    page = render(gather(run, store), str(run.path / "config.yaml"))
    with replacing(run.report) as beside:
        beside.write_text(page, encoding="utf-8")
    return run.report


def render(facts: Any, config_path: str) -> str:
    """The page of some facts."""
    return rendered("page.html.jinja", ("page.css",), facts=facts, config_path=config_path)


def rendered(template: str, styles: Sequence[str], **values: Any) -> str:
    """A template of this folder, with its styles in it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    engine = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.filters |= {
        "count": figures.count, "size": figures.size, "duration": figures.duration, "percent": figures.percent,
        "short": figures.significant, "score": _score, "interval": _interval, "drawn": Markup,
        "rounded": figures.short,
    }  # fmt: skip
    css = Markup("".join((HERE / name).read_text(encoding="utf-8") for name in styles))
    return engine.get_template(template).render(css=css, **values)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if abs(value) < 100 else figures.count(value)


def _interval(value: Any) -> str:
    if not value:
        return ""
    low, high = value
    return f"{_score(low)} – {_score(high)}"
