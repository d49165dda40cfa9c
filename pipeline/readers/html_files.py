"""Files of HTML, compressed or not: each is a page, and its main text a document. Cost: that of the extractor."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.core.files import RawFile
from pipeline.readers.base import RAW_BYTES, AnyRecord, BadRecord
from pipeline.readers.streams import StreamError, blocks
from pipeline.readers.warc import WebReader

# after a mark, white space and comments: how a page begins. The zeros of UTF-16 are left out before
HTML = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s{0,99}(?:<\?xml[^>]{0,200}>\s{0,99})?(?:<!--.{0,500}?-->\s{0,99})?"
    rb"<(?:!doctype html|html|head|body)\b",
    re.I | re.S,
)


class HtmlFiles(WebReader):
    """Reads one document from each file."""

    format = "HTML"

    @classmethod
    def recognizes(cls, head: bytes, name: str) -> bool:
        return HTML.match(head.replace(b"\0", b"")[:1000]) is not None

    def read(self, file: RawFile, *, after: int = -1) -> Iterator[AnyRecord]:
        if after >= 0:
            return
        data = bytearray()
        try:
            for block in blocks(file.path):
                data += block
                if len(data) > self.pages.max_bytes:
                    break
        except StreamError as damage:
            yield BadRecord(0, damage.reason, damage.detail, bytes(data[:RAW_BYTES]))
            return
        yield self.pages.record(0, bytes(data))
