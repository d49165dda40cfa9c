"""Extractors that misbehave, for the tests of the process that runs them."""

from __future__ import annotations

import os
import signal

from pipeline.core.config import Section
from pipeline.extract.base import Extractor


class Hostile(Extractor[Section]):
    """Does what the page says."""

    def extract(self, html: str) -> str:
        print("noise of a library")
        if "hang" in html:
            while True:
                pass
        if "crash" in html:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "memory" in html:
            return "x" * (8 << 30)
        if "raise" in html:
            raise ValueError("not a page: 坏页")
        return html.upper() + str(os.getpid()) * ("pid" in html)
