"""The whole text of a page, for pages that have no navigation, such as exported documents."""

from __future__ import annotations

from resiliparse.extract.html2text import extract_plain_text

from pipeline.extract.base import Extractor
from pipeline.extract.section import Whole as Section


class Whole(Extractor[Section]):
    """Leaves out only what browsers do not show: scripts, styles, comments."""

    def extract(self, html: str) -> str:
        text: str = extract_plain_text(html, main_content=False, alt_texts=False, noscript=False, comments=True)
        return text
