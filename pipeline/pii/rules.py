"""All rules, the words that open their gates, and how much text around a gate each group needs."""

from __future__ import annotations

from functools import cache

from pipeline.kernels.gates import AT_SIGN, COLONS, NUMBER, SHORT_NUMBER, FixedWords, fixed_words
from pipeline.pii import accounts, numbers, telephone
from pipeline.pii.base import AFTER, BEFORE, PiiRule

RULES: tuple[PiiRule, ...] = (*accounts.RULES, *numbers.RULES, *telephone.RULES)
# bytes before and after a gate
MARGINS = {
    NUMBER: (BEFORE, AFTER), SHORT_NUMBER: (BEFORE, AFTER), COLONS: (BEFORE, 8), AT_SIGN: (300, 600),
    accounts.KEY: (BEFORE, 2700), accounts.PRIVATE_KEY: (8, 16_384), accounts.WECHAT: (16, AFTER),
    accounts.QQ: (16, AFTER), accounts.SPELLED_AT: (BEFORE, 300),
}  # fmt: skip


@cache
def words() -> FixedWords:
    """The fixed words as the kernel takes them."""
    return fixed_words(accounts.WORDS)
