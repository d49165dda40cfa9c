"""Wikitext to plain text, in one pass with a stack: linear in the size of a page, whatever its braces do.

Templates, tables, references, files and categories are left out; the text of links stays, and so do a short list of
templates whose argument is text. Of `-{zh-hans:…; zh-hant:…}-` one variant is taken. What is left open keeps its text.
Cost: see tests/benchmarks/bench_wikitext.py.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence, Set
from functools import cached_property

from pipeline.readers.wiki_variants import choose_variant

MAX_DEPTH = 40  # as MediaWiki's own limit; deeper braces are text, so that a character is joined at most so often
# elements whose content is left out, and those whose content is no markup
REMOVED = "ref gallery timeline score imagemap templatestyles hiero mapframe maplink graph section indicator".split()
LITERAL = "math chem ce nowiki pre syntaxhighlight source code".split()
TOKEN = re.compile(
    r"\{\{|\}\}|\[\[|\]\]|-\{(?!\{)|\}-|<!--|^[ \t:*#]{0,8}\{\||^[ \t]{0,8}\|\}(?!\})"
    rf"|<(?P<name>{'|'.join([*REMOVED, *LITERAL])})\b[^<>]{{0,1000}}>",
    re.MULTILINE | re.IGNORECASE,
)
CLOSES = {"}}": "{{", "]]": "[[", "}-": "-{", "|}": "{|"}
# namespaces of files and categories in the languages of the largest wikis; a dump names its own ones too
NAMESPACES = frozenset(
    (
        "file image media category 文件 档案 檔案 图像 圖像 圖片 图片 媒体 媒體 分类 分類"
        " ファイル 画像 メディア カテゴリ 파일 그림 분류"
        " datei bild kategorie fichier catégorie archivo imagen categoría"
        " файл изображение категория immagine categoria ficheiro imagem bestand afbeelding categorie plik"
        " grafika tập_tin thể_loại ملف صورة تصنيف קובץ תמונה קטגוריה"
    ).split()
)
INTERLANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,10}){0,2}:\S")
FIRST, LAST = 0, -1
# templates whose argument is text: which of the positional ones
KEPT_ARGUMENT: Mapping[str, int] = {
    **dict.fromkeys(
        "nowrap nobr small big smaller larger resize center quote cquote blockquote quotation abbr tooltip sub sup mvar"
        " var tt kbd key em strong i b u dfn transl link-en link-ja link-de link-fr internal_link_helper ill le"
        " interlanguage_link zhc angbr script title lj nowiki bo unicode as_of circa".split(), FIRST
    ),
    **dict.fromkeys("lang tsl translink link transliteration color font_color ruby-ja".split(), LAST),
}  # fmt: skip
SYMBOLS: Mapping[str, str] = {
    "ndash": "–", "mdash": "—", "spaced_ndash": " – ", "snd": " – ", "spnd": " – ", "dash": " – ", "·": " · ",
    "dot": " · ", "bullet": " • ", "!": "|", "=": "=", "nbsp": " ", "'": "'", "-'": "'", "sic": "",
}  # fmt: skip
TAG = re.compile(r"</?[a-z][^<>]{0,1000}>|<!--|-->", re.IGNORECASE)
BREAK = re.compile(r"<(?:br|p|hr|div|li|tr|td|th|poem|/p|/div|/li|/poem)\b[^<>]{0,200}>", re.IGNORECASE)
URL_LINK = re.compile(r"\[(?:(?:https?|ftp)://|//|mailto:)[^\s\[\]<>]{1,2000}[ \t]*([^\[\]\n]{0,1000})\]")
MAGIC_WORD = re.compile(r"__[A-Z]{3,20}__")
QUOTES = re.compile(r"'{2,6}")
SPACES = re.compile(r"[ \t\u00a0]{2,}")
EMPTY_BRACKETS = re.compile(r"(?: ?\(|（)[\s,;:，；、]{0,20}[)）]")
LONG_NUMBER = re.compile(r"&#x?[0-9a-f]{9,};?", re.IGNORECASE)  # no character; Python refuses to read some of them
NAMED = re.compile(r"\s*[\w \-]{1,40}\s*=")


class WikiText:
    """Converts pages of one wiki. `namespaces`: names of its files and categories; `variant`: see `wiki_variants`."""

    def __init__(self, namespaces: Set[str] = frozenset(), *, variant: str = "first") -> None:
        self._namespaces = NAMESPACES | {name.lower() for name in namespaces}
        self._variant = variant

    def convert(self, text: str) -> str:
        """The plain text of a page: paragraphs, headings and list items, a line each."""
        text = self._resolve(text)
        text = BREAK.sub("\n", text)
        text = TAG.sub("", text)
        text = URL_LINK.sub(r"\1", text)
        text = MAGIC_WORD.sub("", QUOTES.sub("", text))
        if "&" in text:
            text = html.unescape(LONG_NUMBER.sub("", text))
        return _lines(EMPTY_BRACKETS.sub("", text))

    def _resolve(self, text: str) -> str:
        """Replace everything in brackets and braces, from the inside out."""
        output: list[str] = []
        stack: list[tuple[str, int]] = []  # the opening token, and its index in the output
        elements = _Elements(text)
        at = 0
        while match := TOKEN.search(text, at):
            output.append(text[at : match.start()])
            at = match.end()
            token = match[0].strip(" \t:*#") if match[0][-1] in "|}" else match[0]
            if match["name"] or token == "<!--":
                content, at = elements.content(match["name"] or "", at, self_closing=token.endswith("/>"))
                output.append(content)
            elif token in CLOSES:
                self._close(token, output, stack)
            elif len(stack) < MAX_DEPTH:
                stack.append((token, len(output)))
                output.append(token)
            else:
                output.append(token)
        output.append(text[at:])
        return "".join(output)

    def _close(self, token: str, output: list[str], stack: list[tuple[str, int]]) -> None:
        """Replace what the closing token ends; without an opening one it is text."""
        opening = CLOSES[token]
        depth = next((depth for depth in range(len(stack) - 1, -1, -1) if stack[depth][0] == opening), None)
        if depth is None:
            output.append("" if token == "|}" else token)
            return
        start = stack[depth][1]
        del stack[depth:]  # what was opened within and never closed is text
        content = "".join(output[start + 1 :])
        del output[start:]
        if opening == "[[":
            output.append(self._link(content))
        elif opening == "{{":
            output.append(_template(content))
        elif opening == "-{":
            output.append(choose_variant(content, self._variant))

    def _link(self, content: str) -> str:
        target, bar, label = content.partition("|")
        prefix, colon, _ = target.partition(":")
        if colon and (prefix.strip().lower().replace(" ", "_") in self._namespaces or INTERLANGUAGE.match(target)):
            return ""
        if not bar:
            return target.removeprefix(":").strip()
        return label.strip() or target.strip()


class _Elements:
    """The content of elements. The end tag of a name is searched for once for each element, and never in vain twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._unclosed: set[str] = set()

    @cached_property
    def _lower(self) -> str:
        lower = self._text.lower()
        return lower if len(lower) == len(self._text) else self._text  # a few letters change their number

    def content(self, name: str, start: int, *, self_closing: bool) -> tuple[str, int]:
        """What an element or comment leaves in the text, and where the text goes on behind it."""
        name = name.lower()
        if self_closing:
            return "", start
        mark = f"</{name}" if name else "-->"
        end = -1 if name in self._unclosed else self._lower.find(mark, start)
        if end < 0:
            self._unclosed.add(name)
            return "", start
        behind = end + len(mark) if not name else self._text.find(">", end) + 1
        if not behind:
            return "", start
        kept = name in LITERAL
        return (html.escape(self._text[start:end], quote=False) if kept else ""), behind


def _template(content: str) -> str:
    """The text of a template: an argument of those that hold text, a symbol, or nothing."""
    name, *arguments = content.split("|")
    name = name.strip().lower().replace(" ", "_")
    if name in SYMBOLS:
        return SYMBOLS[name]
    if name in ("convert", "cvt"):
        return " ".join(argument.strip() for argument in arguments[:2])
    index = KEPT_ARGUMENT.get(name, LAST if name.startswith("lang-") else None)
    if index is None:
        return ""
    positional = _positional(arguments)
    return positional[index].strip() if positional else ""


def _positional(arguments: Sequence[str]) -> list[str]:
    return [
        argument.partition("=")[2] if argument.lstrip().startswith("1=") else argument
        for argument in arguments
        if argument.lstrip().startswith("1=") or not NAMED.match(argument)
    ]


def _lines(text: str) -> str:
    """Headings and list items without their marks, no heading without text below it, no two blank lines."""
    lines: list[str] = []
    headings: list[tuple[int, str]] = []  # those that wait for text, with their depth
    for line in text.split("\n"):
        line = SPACES.sub(" ", line).strip()
        if line.startswith("=") and line.endswith("=") and len(line) > 2:
            depth = min(len(line) - len(line.lstrip("=")), 6)
            headings = [heading for heading in headings if heading[0] < depth]
            headings.append((depth, line.strip("= \t")))
            continue
        line = line.lstrip("*#:; ") if line[:1] in "*#:;" else line
        if not line or line.startswith("----"):
            if lines and lines[-1]:
                lines.append("")
            continue
        for _, heading in headings:
            lines += ["", heading] if lines and lines[-1] else [heading]
        headings = []
        lines.append(line)
    return "\n".join(lines).strip()
