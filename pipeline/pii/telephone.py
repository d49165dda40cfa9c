"""Telephone numbers, by numbering plans: China, North America, and others with a country code or after a label.

China: mobile numbers are 11 digits from 1 on with assigned prefixes; area codes are 010, 02x and three digits from 03x
to 09x, subscriber numbers have 7 or 8 digits from 2 to 8 on. North America: area code and exchange begin with 2 to 9.
Elsewhere: E.164, at most 15 digits, an assigned country code and a plausible length.
"""

from __future__ import annotations

import re

from pipeline.kernels.gates import NUMBER, SHORT_NUMBER
from pipeline.pii.base import PiiRule, before, digits_of, in_address, in_row, stands_alone

CN_PREFIX = r"1(?:3\d|4[014-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])"
CN_AREA = r"(?:10|2[0-57-9]|[3-9]\d{2})"
EXTENSION = r"(?:(?:[ ,]{0,2}(?i:ext\.?|extension|x|分机|转)[ .:]{0,2}|[-]|#)\d{1,5})?"
# behind an international number, where a hyphen goes on within it
DIALLED_EXTENSION = r"(?:(?:[ ,]{0,2}(?i:ext\.?|extension|x|分机|转)[ .:]{0,2}|#)\d{1,5})?"
# the least and most digits of national numbers by country code, from the national numbering plans
NATIONAL_DIGITS = {
    "1": (10, 10), "7": (10, 10), "20": (8, 10), "27": (9, 9), "30": (10, 10), "31": (9, 9), "32": (8, 9),
    "33": (9, 9), "34": (9, 9), "36": (8, 9), "39": (6, 12), "40": (9, 9), "41": (9, 9), "43": (7, 13), "44": (9, 10),
    "45": (8, 8), "46": (7, 10), "47": (8, 8), "48": (9, 9), "49": (6, 13), "51": (8, 9), "52": (10, 11), "53": (8, 8),
    "54": (10, 11), "55": (10, 11), "56": (9, 9), "57": (8, 10), "58": (10, 10), "60": (8, 10), "61": (9, 9),
    "62": (8, 12), "63": (8, 10), "64": (8, 10), "65": (8, 8), "66": (8, 9), "81": (9, 10), "82": (8, 11),
    "84": (9, 10), "86": (9, 12), "90": (10, 10), "91": (10, 10), "92": (9, 10), "93": (9, 9), "94": (9, 9),
    "95": (7, 10), "98": (10, 10), "852": (8, 8), "853": (8, 8), "886": (8, 9), "966": (8, 9), "971": (8, 9),
    "972": (8, 9),
}  # fmt: skip
# other assigned codes have three digits; their plans have 7 to 10
OTHER_CODES = re.compile(r"2[1-69]\d|3[578]\d|42[0-3]|50\d|59\d|67\d|68\d|69\d|80[08]|85\d|87\d|88[0-8]|9[679]\d")
LABEL = re.compile(
    r"(?:(?<![a-z.])(?:tel|tele|telephone|phone|cellphone|mobile|mob|cell(?=:)|desk(?=:)|direct(?=:)|landline|hotline|fax|whatsapp|call|dial|ring)"
    r"(?:[ .]?(?:no|number|us|me|at|on)\.?){0,3}|电话|手机|座机|传真|热线|致电|拨打|联系方式|手機|電話)"
    r"(?:号码?|號碼?|是|为|為)*[\s:：.#=(+]{0,4}\Z",
    re.IGNORECASE,
)
NO_TELEPHONE = re.compile(
    r"(?:(?<![a-z])(?:id|no|nr|number|order|serial|ref|pmid|doi|isbn|issn|oclc|accession|sku)|编号|订单号?|单号|序列号|流水号|批次)"
    r"[\s:：.#=]{0,4}\Z",
    re.IGNORECASE,
)
CN_NATIONAL_DIGITS = 10  # at least, without the 0 and the country code
TRUNK_DIGITS = (10, 11)  # of a number of any plan with its trunk prefix 0 (E.164, annex A)
_EXTENSION = re.compile(rb"(?i:ext|x|#|\xe8\xbd\xac|\xe5\x88\x86).*\Z")


def mobile_cn(window: bytes, start: int, end: int) -> int:
    """The pattern holds the plan; eleven plain digits behind a word for another number are that."""
    if not stands_alone(window, start, end) or in_address(window, start):
        return 0
    is_plain = window[start:end].isdigit()
    return 0 if is_plain and NO_TELEPHONE.search(before(window, start)) and not labelled(window, start) else end


def landline_cn(window: bytes, start: int, end: int) -> int:
    """010 and 02x have 8 digits behind them, the others 7 or 8; 400 has 7."""
    digits = digits_of(_EXTENSION.sub(b"", window[start:end]))
    national = re.sub(r"\A(?:00)?86", "", digits) if not digits.startswith("0") or digits.startswith("0086") else digits
    national = national.removeprefix("0")
    if len(national) < CN_NATIONAL_DIGITS or not stands_alone(window, start, end) or in_address(window, start):
        return 0
    return end


def north_american(window: bytes, start: int, end: int) -> int:
    """Three numbers with spaces alone between them are as often columns of a table."""
    text = window[start:end]
    if not stands_alone(window, start, end) or in_address(window, start):
        return 0
    return 0 if text[:1].isdigit() and text[3:4] == b" " and in_row(window, start, end) else end


def international(window: bytes, start: int, end: int) -> int:
    """A number with + or 00: an assigned code, and the digits of its plan; the (0) in +41 (0)44 is not dialled."""
    sign = window[max(0, start - 1) : start]
    if sign.isalnum() or sign in (b"+", b"_", b"-", b"/", b"=", b".", b",") or in_address(window, start):
        return 0
    text = window[start:end]
    if text.startswith(b"00") and not re.search(rb"[ .-]", text) and not labelled(window, start):
        return 0
    after = window[end : end + 2]
    if after[:1].isalnum() or (after[:1] in (b".", b"-", b",", b":") and after[1:].isdigit()) or after[:1] == b"%":
        return 0
    text = _EXTENSION.sub(b"", text)
    digits = digits_of(re.sub(rb"\(0\)", b"", text))
    digits = digits.removeprefix("00") if text.startswith(b"00") else digits
    return end if _in_plan(digits) else 0


def _in_plan(digits: str) -> bool:
    for size in (1, 2, 3):
        code, national = digits[:size], digits[size:]
        if code in NATIONAL_DIGITS:
            least, most = NATIONAL_DIGITS[code]
            return least <= len(national) <= most
    return bool(OTHER_CODES.fullmatch(digits[:3])) and 7 <= len(digits) - 3 <= 10


def labelled(window: bytes, start: int) -> bool:
    """Whether a word for telephone stands before the number."""
    return bool(LABEL.search(before(window, start)))


def national_number(window: bytes, start: int, end: int) -> int:
    """A number of any plan, in any grouping, behind a word for telephone."""
    if not 7 <= len(digits_of(window[start:end])) <= 13 or not labelled(window, start):
        return 0
    after = window[end : end + 2]
    if after[:1].isalnum() or (after[:1] in (b".", b",", b":", b"-") and after[1:].isdigit()) or after[:1] == b"%":
        return 0
    return end


def trunk_number(window: bytes, start: int, end: int) -> int:
    """A number in groups that begins with the trunk prefix 0, without a word for telephone: no quantity is written so.
    One that stands in a row of numbers, or behind a word for another number, is none."""
    if not TRUNK_DIGITS[0] <= len(digits_of(window[start:end])) <= TRUNK_DIGITS[1] or in_row(window, start, end):
        return 0
    if not stands_alone(window, start, end) or in_address(window, start):
        return 0
    return 0 if NO_TELEPHONE.search(before(window, start)) else end


def _labelled_only(window: bytes, start: int, end: int) -> int:
    return end if labelled(window, start) and stands_alone(window, start, end) else 0


_CN_CODE = r"(?:\(?(?:\+|00)?86\)?[ -]{0,2}|\(\+?86\) ?)?"
_CN_TAIL = r"(?:\d{8}|[ .-]\d{4}[ .-]\d{4}|\d[ .-]\d{3}[ .-]\d{4}|[ .-]\d{3}[ .-]\d{5}|[ .-]\d{8}|\d{4}[ .-]\d{4})"
RULES = (
    PiiRule("phone_cn", (NUMBER,), rf"{_CN_CODE}{CN_PREFIX}{_CN_TAIL}", mobile_cn),
    PiiRule(
        "landline_cn",
        (NUMBER,),
        rf"(?:(?:\+|00)86[ -]{{0,2}})?\(0{CN_AREA}\)[ -]?[2-8]\d{{2,3}}[ -]?\d{{4}}{EXTENSION}"
        rf"|(?:(?:\+|00)?86[ -]{{1,2}})?0{CN_AREA}[ -]{{1,2}}[2-8]\d{{2,3}}[ -]?\d{{4}}{EXTENSION}"
        rf"|(?:\+|00)86[ -]{{0,2}}\(?0?{CN_AREA}\)?[ -]{{0,2}}[2-8]\d{{2,3}}[ -]?\d{{4}}{EXTENSION}"
        rf"|400[ -]\d{{3}}[ -]?\d{{4}}{EXTENSION}|400[ -]?\d{{4}}[ -]\d{{3}}|400\d[ -]\d{{3}}[ -]\d{{3}}",
        landline_cn,
    ),
    PiiRule("landline_cn", (NUMBER,), rf"0{CN_AREA}[2-8]\d{{6,7}}{EXTENSION}", _labelled_only),
    PiiRule(
        "phone_us",
        (NUMBER,),
        rf"(?:(?:\+|00)?1[ ./-]?)?(?:\([2-9]\d{{2}}\)[ .-]{{0,2}}|[2-9]\d{{2}}[ ./-])"
        rf"[2-9]\d{{2}}[ .-]\d{{4}}{EXTENSION}"
        rf"|(?:\+|001[ -])1?[ -]?[2-9]\d{{2}}[2-9]\d{{6}}{EXTENSION}|\([2-9]\d{{2}}\) ?[2-9]\d{{6}}",
        north_american,
    ),
    PiiRule("phone_us", (NUMBER,), rf"[2-9]\d{{2}}[2-9]\d{{6}}{EXTENSION}", _labelled_only),
    PiiRule(
        "phone_international",
        (NUMBER, SHORT_NUMBER),
        r"(?:\+ ?|00)[1-9]\d{0,2}(?:[ .-]?\(0?\d{0,5}\))?(?:[ ./-]{0,2}\d{1,12}){1,7}" + DIALLED_EXTENSION,
        international,
    ),
    PiiRule(
        "phone_international", (NUMBER, SHORT_NUMBER), r"\(?\d{1,5}\)?(?:[ ./-]{1,2}\d{1,8}){0,6}", national_number
    ),
    PiiRule("phone_international", (NUMBER,), r"0[1-9]\d{1,2}(?: \d{2,4}){2,4}", trunk_number),
)  # fmt: skip
