"""Check digits: Luhn (payment cards), ISO 7064 (IBAN, resident ids of China). All take ASCII text."""

from __future__ import annotations

from collections.abc import Sequence

_CN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CN_CHECKS = "10X98765432"
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812)."""
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[::2] + [_DOUBLED[value] for value in values[1::2]]) % 10 == 0


def mod97(iban: str) -> bool:
    """Whether an IBAN without spaces, in capitals, has the right check digits (ISO 13616)."""
    rotated = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in rotated)) % 97 == 1


def cn_resident_id(text: str) -> bool:
    """Whether the 18th character of a resident id is the check digit of the first 17 (GB 11643)."""
    return _CN_CHECKS[_weighted(text[:17], _CN_WEIGHTS) % 11] == text[17].upper()


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
