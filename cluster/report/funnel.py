"""The funnel: how many documents enter and leave each stage, as one drawing to scale."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipeline.core import figures
from pipeline.core.report import FunnelColumn

WIDTH, TALL, TOP, BAR = 960, 170, 62, 14
LOSS_ROOM = 74
CHARACTER = 7.0  # the width of one in the small font
LAST_ROOM = 116  # for the text of the last column
SMALLEST = 0.75  # of its size, where the window is narrow
NARROWEST = 150  # between two columns: their texts do not overlap


def funnel(gates: Sequence[FunnelColumn]) -> str:
    """The drawing; an empty string for fewer than two columns."""
    if len(gates) < 2:
        return ""
    most = max(gate.value for gate in gates) or 1
    step = max(NARROWEST, (WIDTH - LAST_ROOM) / (len(gates) - 1))
    width = step * (len(gates) - 1) + LAST_ROOM
    left = [index * step for index in range(len(gates))]
    tall = [max(2.0, gate.value / most * TALL) for gate in gates]
    height = TOP + TALL + LOSS_ROOM
    parts = [
        f'<svg class="chart funnel" viewBox="0 0 {width:.0f} {height}" role="img" aria-label="Documents at each stage" '
        f'style="min-width:{width * SMALLEST:.0f}px">'
    ]
    for index in range(len(gates) - 1):
        parts.append(_stream(left[index] + BAR, left[index + 1], min(tall[index], tall[index + 1])))
        lost = gates[index + 1].lost
        if lost and tall[index] > tall[index + 1]:
            parts.append(_fall(left[index] + BAR, step, tall[index + 1], tall[index]))
        parts.append(_losses(lost, gates[index].value, left[index] + BAR, step))
    for gate, x, height_px in zip(gates, left, tall, strict=True):
        parts.append(_column(gate, x, height_px, step))
    return "".join((*parts, "</svg>"))


def _column(gate: FunnelColumn, x: float, bar_height: float, step: float) -> str:
    label, note = (_short(text, int(step / CHARACTER)) for text in (gate.label, gate.note))
    place = f'x="{x:.1f}"'
    return (
        f"<g><title>{escape(gate.label)}: {escape(gate.figure)}</title>"
        f'<rect class="bar" x="{x:.1f}" y="{TOP}" width="{BAR}" height="{bar_height:.1f}" rx="2"/>'
        f'<text class="label" {place} y="16">{escape(label)}</text>'
        f'<text class="big" {place} y="36">{escape(gate.figure)}</text>'
        f'<text {place} y="52">{escape(note)}</text></g>'
    )


def _stream(start: float, end: float, tall: float) -> str:
    return f'<rect class="stream" x="{start:.1f}" y="{TOP}" width="{end - start:.1f}" height="{tall:.1f}"/>'


def _fall(start: float, step: float, height_after: float, height_before: float) -> str:
    """The dropped documents: a band that bends down, as thick as their number."""
    thick = height_before - height_after
    top, bottom = TOP + height_after, TOP + height_before
    bend, floor = min(step * 0.35, 60), TOP + TALL + 10
    right = start + bend + thick * 0.7
    return (
        f'<path class="fall" d="M{start:.1f},{top:.1f} C{start + bend:.1f},{top:.1f} {right:.1f},{top + 12:.1f} '
        f"{right:.1f},{floor:.1f} L{right - thick * 0.7:.1f},{floor:.1f} C{start + bend:.1f},{bottom + 8:.1f} "
        f'{start + bend * 0.6:.1f},{bottom:.1f} {start:.1f},{bottom:.1f} Z"/>'
    )


def _losses(lost: Sequence[tuple[str, int]], documents_before: float, start: float, step: float) -> str:
    if not lost:
        return ""
    total = sum(number for _, number in lost)
    lines = [f"−{figures.count(total)}  ({figures.percent(total, documents_before)})"]
    max_characters = int(step / CHARACTER)
    lines += [f"{_short(reason, max_characters - 8)} {figures.count(number)}" for reason, number in lost[:2]]
    lines += ["and other reasons"] if len(lost) > 2 else []
    y = TOP + TALL + 24
    texts = [
        f'<text class="{"loss" if not row else ""}" x="{start + 4:.1f}" y="{y + 16 * row:.1f}">{escape(line)}</text>'
        for row, line in enumerate(lines[:4])
    ]
    return "".join(texts)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
