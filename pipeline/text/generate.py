"""Generates `tables.npz` from the `unicodedata` of the running Python: `python -m pipeline.text.generate`.

Run it to change to a newer Unicode version, commit the result, and raise the version of the stages that use it.
A test generates the tables again and compares them if Python has the same Unicode version.
"""

from __future__ import annotations

import io
import unicodedata
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.text import scripts, unicode
from pipeline.text.words import BULLETS, SENTENCE_ENDS

# planes that Unicode reserves for ideographs of later versions
IDEOGRAPHS = (range(0x20000, 0x3FFFE),)
INVISIBLE = "\u00ad\u200c\u200d\u2060\u034f\u180e"
VISIBLE = "_\u05f3"  # the geresh occurs within and at the end of Hebrew words
MID_LETTERS = "'\u2019\u05f4\u00b7"
SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x180B, 0x180C, 0x180D)
WORD_KINDS = (unicode.LETTER, unicode.DIGIT, unicode.UNIT, unicode.CONNECTOR, unicode.MID_LETTER)
SPACES = "\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\u200b\ufeff"


def main() -> None:
    write(unicode.TABLE, build())


def build() -> dict[str, npt.NDArray[np.generic]]:
    """Compute every array of the file from `unicodedata`."""
    script = _scripts()
    folds = {point: _fold(chr(point)) for point in range(unicode.CODE_POINTS) if _is_character(chr(point))}
    classes = _classes(script, folds)
    changed = [p for p, fold in folds.items() if fold != [p] and classes[p] & unicode.KIND in WORD_KINDS]
    to, more = _pack([folds[p] for p in changed])
    class_starts, class_values = _runs(classes)
    script_starts, script_values = _runs(script)
    return {
        "version": np.array(unicodedata.unidata_version),
        "class_starts": class_starts,
        "class_values": class_values,
        "script_starts": script_starts,
        "script_values": script_values,
        "fold_from": np.array(changed, np.int32),
        "fold_to": to,
        "more": more,
    }


def write(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Write the file without times in its entries, so that the same arrays give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data.getvalue())


def _is_character(character: str) -> bool:
    return unicodedata.category(character) not in ("Cn", "Cs", "Co")


def _scripts() -> unicode.Bytes:
    numbers = np.zeros(unicode.CODE_POINTS, np.uint8)
    for point in range(unicode.CODE_POINTS):
        character = chr(point)
        if unicodedata.category(character)[0] in "LMN" or 0x2E80 <= point < 0x2FE0:
            numbers[point] = _script(unicodedata.name(character, ""))
    for plane in IDEOGRAPHS:
        numbers[plane.start : plane.stop] = scripts.NUMBER["Hani"]
    return numbers


def _script(name: str) -> int:
    for code, beginnings in scripts.NAMES.items():
        if any(name == beginning or name.startswith(beginning + " ") for beginning in beginnings):
            return scripts.NUMBER[code]
    return scripts.UNKNOWN


def _classes(script: unicode.Bytes, folds: dict[int, list[int]]) -> unicode.Bytes:
    unspaced = {scripts.NUMBER[code] for code in scripts.UNSPACED}
    classes = np.zeros(unicode.CODE_POINTS, np.uint8)
    for point in range(unicode.CODE_POINTS):
        classes[point] = _kind(point, int(script[point]) in unspaced)
        if point in folds and classes[point] in WORD_KINDS and folds[point] != [point]:
            classes[point] |= unicode.FOLDS
        if _is_invisible(point) or unicodedata.category(chr(point))[0] == "M":
            classes[point] |= unicode.MARK
        if unicodedata.category(chr(point)) in ("Lu", "Lt"):
            classes[point] |= unicode.UPPER
        if _composes(chr(point)):
            classes[point] |= unicode.COMPOSES
    for character in BULLETS:
        classes[ord(character)] |= unicode.BULLET
    for character in SENTENCE_ENDS:
        classes[ord(character)] |= unicode.SENTENCE_END
    return classes


def _kind(point: int, unspaced: bool) -> int:
    character = chr(point)
    category = unicodedata.category(character)
    if character == "\n":
        return unicode.NEWLINE
    if character in SPACES or category == "Zs":
        return unicode.SPACE
    if character in MID_LETTERS:
        return unicode.MID_LETTER
    if character in VISIBLE or _is_invisible(point):
        return unicode.CONNECTOR
    if category[0] == "M":
        return unicode.LETTER
    if unspaced and (category[0] == "L" or 0x2E80 <= point < 0x2FE0 or category in ("Nl", "Cn")):
        return unicode.UNIT
    return {"L": unicode.LETTER, "N": unicode.DIGIT}.get(category[0], unicode.OTHER)


def _is_invisible(point: int) -> bool:
    return chr(point) in INVISIBLE or point in SELECTORS


def _fold(character: str) -> list[int]:
    """Compatibility form, lower case, and of that the letters, digits and middle dots (ŀ is l·): what is compared."""
    if _is_invisible(ord(character)):
        return []
    if character == "\u2019":
        return [ord("'")]
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).lower())
    if len(folded) == 1:
        return [ord(folded)]
    letters = [ord(part) for part in folded if unicodedata.category(part)[0] in "LMN" or part == "\u00b7"]
    return letters or [ord(character)]


def _composes(character: str) -> bool:
    """False only if NFC never changes the character, in any text. Conservative (True for all marks) and cheap."""
    if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
        return True
    return (
        ord(character) in _second_code_points()
        or 0x1161 <= ord(character) <= 0x1175
        or 0x11A8 <= ord(character) <= 0x11C2
    )


@cache
def _second_code_points() -> frozenset[int]:
    """Code points that end a canonical decomposition into two: they may combine with the character before them."""
    points = set()
    for point in range(unicode.CODE_POINTS):
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            points.add(int(parts[1], 16))
    return frozenset(points)


def _runs(values: unicode.Bytes) -> tuple[npt.NDArray[np.int32], unicode.Bytes]:
    starts = np.flatnonzero(np.diff(values, prepend=values[:1] + 1)).astype(np.int32)
    return starts, values[starts]


def _pack(folds: list[list[int]]) -> tuple[unicode.CodePoints, unicode.CodePoints]:
    to: list[int] = []
    more: list[int] = []
    for fold in folds:
        if len(fold) == 1:
            to.append(fold[0])
        else:
            to.append(-1 - len(more))
            more += [len(fold), *fold]
    return np.array(to, np.int32), np.array(more, np.int32)


if __name__ == "__main__":
    main()
