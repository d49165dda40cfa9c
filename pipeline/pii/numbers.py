"""Numbers of people, accounts and machines: resident ids of China, US social security numbers, cards, IBAN, IP.

Every kind has a check beside its pattern: check digits (ISO 7812, ISO 13616, GB 11643), ranges that were assigned, or
`ipaddress`.
"""

from __future__ import annotations

import ipaddress
import re

from pipeline.kernels.gates import COLONS, NUMBER
from pipeline.pii.base import PiiRule, before, digits_of, in_address, stands_alone
from pipeline.pii.checksums import cn_resident_id, luhn, mod97

PROVINCES = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
    " 91".split()
)
# the length of an IBAN by country (registry of ISO 13616)
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SD": 18,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "VG": 24, "XK": 20,
}  # fmt: skip
# (first digits, lengths) of cards: Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Mir, Maestro
CARD_RANGES = (
    (re.compile(r"4"), (16,)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
    (re.compile(r"35(?:2[89]|[3-8]\d)"), (16,)),
    (re.compile(r"62|60[0-9]{4}|9558"), (16, 17, 18, 19)),
    (re.compile(r"220[0-4]"), (16,)),
    (re.compile(r"5018|5020|5038|5893|6304|6759|676[1-3]"), (16,)),
)
CARD_WORD = re.compile(r"(?:card|cards|cc|visa|master|maestro|amex|debit|credit|jcb|卡)[^0-9\n]{0,16}\Z", re.IGNORECASE)
SSN_WORD = re.compile(r"(?:ssn|social security|soc\.? ?sec)[^0-9\n]{0,24}\Z", re.IGNORECASE)
ID_WORD = re.compile(r"(?:身份证|身份證|证件)[^0-9\n]{0,10}\Z")
VERSION_BEFORE = re.compile(
    r"(?:version|ver|section|sec|chapter|release|build|figure|table|rule|clause|§|\bv|版本?|第|章|节|節|[A-Za-z]/|[=<>~]=|[~^])"
    r"[ .:：]{0,2}\Z", re.IGNORECASE,
)  # fmt: skip
VERSION_AFTER = re.compile(r"\s?(?:版|条|節|节|章)")
# public in use, though reserved: examples in documents stand for addresses (RFC 5737, RFC 2544)
EXAMPLE_NETWORKS = [
    ipaddress.ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
]
EXAMPLE_NETWORK_V6 = ipaddress.ip_network("2001:db8::/32")
MOST_SECTION = 40  # a heading such as "1.2.3.4 Scope" has small numbers only


def resident_id(window: bytes, start: int, end: int) -> int:
    """18 characters: a province, a date of birth and the check digit."""
    text = re.sub(rb"[ -]", b"", window[start:end]).decode()
    sign, after = window[max(0, start - 1) : start], window[end : end + 1]
    if sign.isalnum() or after.isalnum() or text[:2] not in PROVINCES or not _is_date(text[6:14]):
        return 0
    return end if cn_resident_id(text) else 0


def old_resident_id(window: bytes, start: int, end: int) -> int:
    """15 digits, issued until 1999, without a check digit: only behind a word for it."""
    text = window[start:end].decode()
    valid = text[:2] in PROVINCES and _is_date("19" + text[6:12]) and stands_alone(window, start, end)
    return end if valid and ID_WORD.search(before(window, start)) else 0


def _is_date(text: str) -> bool:
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    days = 31 if month in (1, 3, 5, 7, 8, 10, 12) else 29 if month == 2 else 30
    return 1850 <= year <= 2035 and 1 <= month <= 12 and 1 <= day <= days


def social_security(window: bytes, start: int, end: int) -> int:
    """Three, two and four digits, none of them zero; with other signs than hyphens only behind a word for it."""
    text = window[start:end]
    digits = digits_of(text)
    if digits[:3] in ("000", "666") or digits[3:5] == "00" or digits[5:] == "0000":
        return 0
    if not stands_alone(window, start, end) or in_address(window, start):
        return 0
    return end if text.count(b"-") == 2 or SSN_WORD.search(before(window, start)) else 0


def card(window: bytes, start: int, end: int) -> int:
    """Luhn's check digit, and a range that was assigned or a word for card before it."""
    digits = digits_of(window[start:end])
    if len(set(digits)) == 1 or not luhn(digits) or not stands_alone(window, start, end) or in_address(window, start):
        return 0
    if any(len(digits) in lengths and first.match(digits) for first, lengths in CARD_RANGES):
        return end
    return end if CARD_WORD.search(before(window, start)) else 0


def iban(window: bytes, start: int, end: int) -> int:
    """As many letters and digits as its country has, and the check digits; what follows may be the next word."""
    length = IBAN_LENGTHS.get(window[start : start + 2].decode().upper(), 0)
    if not length or window[max(0, start - 1) : start].isalnum():
        return 0
    at, signs = start, bytearray()
    while at < end and len(signs) < length:
        if chr(window[at]).isalnum():
            signs.append(window[at])
        at += 1
    if len(signs) < length or window[at : at + 1].isalnum():
        return 0
    return at if mod97(signs.decode().upper()) else 0


def ipv4(window: bytes, start: int, end: int) -> int:
    """A public address, not a version and not the number of a section."""
    sign, after = window[max(0, start - 1) : start], window[end : end + 2]
    if (sign.isalnum() and sign.isascii()) or sign in (b"_", b"-", b".") or after[:1].isalnum():
        return 0
    if after[:1] in (b".", b"-") and after[1:].isdigit() or after[:1] == b"_":
        return 0
    text = window[start:end].decode()
    if VERSION_BEFORE.search(before(window, start)) or VERSION_AFTER.match(_after(window, end)):
        return 0
    if max(map(int, text.split("."))) <= MOST_SECTION and _opens_heading(window, start, end):
        return 0
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return 0
    return end if address.is_global and not address.is_multicast or _in_examples(address) else 0


def _in_examples(address: ipaddress.IPv4Address) -> bool:
    return any(address in network for network in EXAMPLE_NETWORKS)


def _opens_heading(window: bytes, start: int, end: int) -> bool:
    line = window[:start].rpartition(b"\n")[2]
    return not line.strip(b" #*\t") and re.match(rb"[ \t]+[A-Z\x80-\xff]", window[end : end + 4]) is not None


def ipv6(window: bytes, start: int, end: int) -> int:
    """A public address; shortened by :: only from 2000::/3 and with three groups, else C++ names would count."""
    if re.search(rb"[0-9A-Za-z_:.]\Z", window[max(0, start - 1) : start]):
        return 0
    text = window[start:end].decode()
    if text.endswith(":") and not text.endswith("::"):
        text, end = text[:-1], end - 1
    if re.match(rb"[0-9A-Za-z_]|:[0-9A-Za-z:]|\.[0-9]", window[end : end + 2]):
        return 0
    groups = [group for group in text.split(":") if group]
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return 0
    if "::" in text:
        with_length = window[end : end + 1] == b"/"
        if not 0x2000 <= int(groups[0], 16) < 0x4000 or (len(groups) < 3 and not with_length):
            return 0
    elif max(map(len, groups)) <= 2:
        return 0  # a hardware address
    is_public = not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_private)
    return end if is_public or address in EXAMPLE_NETWORK_V6 else 0


def _after(window: bytes, end: int) -> str:
    return window[end : end + 8].decode("utf-8", "ignore")


RULES = (
    PiiRule(
        "cn_id",
        (NUMBER,),
        r"[1-9]\d{5}[ -]?(?:1[89]|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[ -]?\d{3}[\dXx]",
        resident_id,
    ),
    PiiRule("cn_id", (NUMBER,), r"[1-9]\d{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}", old_resident_id),
    PiiRule("iban", (NUMBER,), r"(?i)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?", iban),
    PiiRule(
        "bank_card",
        (NUMBER,),
        r"\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}(?:[ -]?\d{1,3})?|\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{2,3}"
        r"|\d{4}[ -]\d{6}[ -]\d{4,5}|\d{6}[ -]\d{10,13}|\d{12,19}",
        card,
    ),
    PiiRule("us_ssn", (NUMBER,), r"\d{3}[ .-]?\d{2}[ .-]?\d{4}", social_security),
    PiiRule("ipv4", (NUMBER,), r"(?:\d{1,3}\.){3}\d{1,3}", ipv4),
    PiiRule("ipv6", (COLONS,), r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}", ipv6),
)
