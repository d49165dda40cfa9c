"""Renders the templates of this folder with inlined styles. The template engine escapes all text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.report.charts import draw
from pipeline.core import figures

HERE = Path(__file__).parent


def rendered(template: str, styles: Sequence[str], **values: object) -> str:
    """A self-contained page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    engine = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.filters |= {
        "count": figures.count, "size": figures.size, "duration": figures.duration, "percent": figures.percent,
        "short": figures.significant, "drawn": Markup, "chart": draw,
        "rounded": figures.short,
    }  # fmt: skip
    css = Markup("".join((HERE / name).read_text(encoding="utf-8") for name in styles))
    return engine.get_template(template).render(css=css, **values)
