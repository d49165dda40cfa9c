"""data-card.md: the data card as Markdown with the YAML front matter of dataset cards, to lie beside a checkpoint or to
be put on a hub.

It has the figures of the report and none of its texts: what was dropped or quarantined may be personal, and passages
of evaluation items would contaminate the next corpus. Everything from the data is escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

import yaml

from cluster.report.card import NOT_STATED, DataCard
from pipeline.core import figures
from pipeline.core.report import (
    Chapter,
    ChapterBlock,
    Column,
    DroppedDocuments,
    Figures,
    ReportTable,
    TableCell,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$])")
BREAKS = re.compile(r"\s+")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{4})?")
CODE = "code"
NO_LANGUAGES = ("und", "unknown", "others")
# identifiers of licences that the hub knows: huggingface/hub-docs, docs/hub/repositories-licenses.md
HUB_LICENCES = frozenset(
    """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc0-1.0
    cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
    cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0
    isc lgpl lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 osl-3.0 pddl postgresql unlicense
    wtfpl zlib
    """.split()
)
SIZES = tuple(zip(("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"), range(3, 13), strict=True))


def markdown(name: str, card: DataCard, chapters: Sequence[Chapter]) -> str:
    """The card of a run: front matter, then the chapters that are about data."""
    lines = ["---", _front_matter(name, card).rstrip(), "---", "", f"# Data card: {escape(name)}", ""]
    for index, chapter in enumerate(chapter for chapter in chapters if chapter.of_data):
        if index:
            lines += [f"## {escape(chapter.title)}", ""]
            lines += [escape(chapter.note), ""] if chapter.note else []
        for block in chapter.blocks:
            lines += _block(block)
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    flat = BREAKS.sub(" ", text).strip()
    return SPECIAL.sub(r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _front_matter(name: str, card: DataCard) -> str:
    """Languages, licences and size, in the words of the hub."""
    tags = [tag for tag in card.languages if tag == CODE or (LANGUAGE.fullmatch(tag) and tag[:3] not in NO_LANGUAGES)]
    licences = sorted({_hub_licence(licence) for licence in card.licences})
    known = [licence for licence in licences if licence not in ("other", "unknown")]
    values: dict[str, object] = {
        "pretty_name": name,
        "language": sorted({tag.partition("-")[0] if tag != CODE else CODE for tag in tags}),
        "language_details": sorted(tag for tag in tags if "-" in tag),
        "license": licences[0] if len(licences) == 1 else licences,
        "size_categories": [_size(card.documents)],
        "task_categories": ["text-generation"],
        "annotations_creators": ["no-annotation"],
        "tags": ["pretraining", "bloomery"],
    }
    if "other" in licences:
        others = [licence for licence in sorted(card.licences) if _hub_licence(licence) == "other"]
        values["license_details"] = "; ".join(others)[:500]
    if not known and not licences:
        del values["license"]
    filled = {key: value for key, value in values.items() if value not in ([], "")}
    return yaml.safe_dump(filled, allow_unicode=True, sort_keys=False, width=1000)


def _hub_licence(licence: str) -> str:
    """The identifier of a licence on the hub: "CC BY-SA 4.0" → "cc-by-sa-4.0"; `other`, or `unknown` if not stated."""
    if licence == NOT_STATED:
        return "unknown"
    identifier = re.sub(r"[\s_]+", "-", licence.strip().lower())
    return identifier if identifier in HUB_LICENCES else "other"


def _size(documents: int) -> str:
    """The size category of the hub: 5,930 documents → "1K<n<10K"."""
    below = "n<1K"
    for (name, exponent), (following, _) in zip(SIZES, (*SIZES[1:], ("", 0)), strict=True):
        if documents >= 10**exponent:
            below = f"{name}<n<{following}" if following else f"n>{name}"
    return below


def _block(block: ChapterBlock) -> Iterator[str]:
    if isinstance(block, Figures):
        yield from _titled(block.title)
        yield from _table((Column(""), Column("", figures=True)), block.items)
    elif isinstance(block, ReportTable) and not block.texts:
        yield from _titled(block.title)
        line = html.escape(BREAKS.sub(" ", block.folded))
        yield from (f"<details><summary>{line}</summary>", "") if line else ()
        yield from _table(block.columns, block.rows)
        yield from (escape(block.rest), "") if block.rest else ()
        yield from ("</details>", "") if block.folded else ()
    elif isinstance(block, DroppedDocuments):
        yield from _titled(block.title)
        columns = (Column(""), Column("documents", figures=True), Column("share", figures=True), Column("values"))
        rows = [
            (reason.name, figures.count(reason.count), figures.percent(reason.count, block.read),
             "; ".join(dict.fromkeys(example.note for example in reason.examples if example.note)))
            for reason in block.reasons
        ]  # fmt: skip
        yield from _table(columns, rows)


def _titled(title: str) -> tuple[str, ...]:
    return (f"### {escape(title)}", "") if title else ()


def _table(columns: Sequence[Column], rows: Sequence[Sequence[TableCell | str]]) -> Iterator[str]:
    """A table without the columns that only the page can show: links and empty ones."""
    cells = [[_cell(value) for value in row] for row in rows]
    used = [index for index, column in enumerate(columns) if column.title or any(row[index] for row in cells)]
    if not used or not cells:
        return
    yield "| " + " | ".join(escape(columns[index].title) or " " for index in used) + " |"
    yield "| " + " | ".join("---:" if columns[index].figures else "---" for index in used) + " |"
    yield from ("| " + " | ".join(row[index] or " " for index in used) + " |" for row in cells)
    yield ""


def _cell(value: TableCell | str) -> str:
    if isinstance(value, str):
        return escape(value)
    if value.link or value.share is not None:
        return ""
    if value.parts:
        return ", ".join(
            f"{escape(text)} ({escape(remark)})" if remark else escape(text) for text, remark in value.parts
        )
    return f"**{escape(value.text)}**" if value.style == "strong" and value.text else escape(value.text)
