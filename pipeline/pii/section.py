"""The options of the cleaner `pii`, and the kinds of personal data. This file imports only pydantic."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import field_validator

from pipeline.core.config import Section
from pipeline.core.files import JsonObject

Kind = Literal[
    "url_user", "private_key", "api_key", "email", "wechat", "qq", "cn_id", "iban", "bank_card", "phone_cn",
    "landline_cn", "phone_us", "phone_international", "us_ssn", "ipv4", "ipv6",
]  # fmt: skip
Action = Literal["replace", "drop", "count"]
# of matches that overlap, the longest stays, and of equally long ones the first kind in this order
KINDS: tuple[Kind, ...] = get_args(Kind)

PLACEHOLDERS: dict[Kind, str] = {
    "url_user": "<URL>", "private_key": "<PRIVATE_KEY>", "api_key": "<API_KEY>", "email": "<EMAIL>",
    "wechat": "<WECHAT>", "qq": "<QQ>", "cn_id": "<ID_NUMBER>", "iban": "<IBAN>", "bank_card": "<BANK_CARD>",
    "phone_cn": "<PHONE>", "landline_cn": "<PHONE>", "phone_us": "<PHONE>", "phone_international": "<PHONE>",
    "us_ssn": "<SSN>", "ipv4": "<IP_ADDRESS>", "ipv6": "<IP_ADDRESS>",
}  # fmt: skip


class Pii(Section):
    """Personal data: which kinds are looked for, and what happens to each.

    `action` is for the kinds that `actions` does not name: replace by a placeholder; drop the document (what is found
    in it is replaced too, since the beginning of a rejected document is kept); or only count. `allow`: values that are
    left alone in any case of letters; "@example.com" stands for every address of that domain.
    """

    REVISION: ClassVar[int] = 2  # raised when the rules change, so that earlier results become stale

    kinds: list[Kind] = list(KINDS)
    action: Action = "replace"
    actions: dict[Kind, Action] = {}
    placeholders: dict[Kind, str] = {}
    allow: list[str] = []

    @field_validator("placeholders")
    @classmethod
    def _check_placeholders(cls, placeholders: dict[Kind, str]) -> dict[Kind, str]:
        for kind, text in placeholders.items():
            if any(character.isdecimal() for character in text) or "@" in text or "://" in text or not text.strip():
                raise ValueError(f"'{text}' for {kind}: a placeholder is text without digits, '@' and '://'")
        return placeholders

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, kinds: list[Kind]) -> list[Kind]:
        if not kinds:
            raise ValueError("names no kind; leave the key out for all kinds, or take the cleaner out")
        return sorted(set(kinds), key=KINDS.index)

    def action_of(self, kind: Kind) -> Action:
        """What happens to a kind."""
        return self.actions.get(kind, self.action)

    def placeholder_of(self, kind: Kind) -> str:
        """What a kind is replaced by."""
        return self.placeholders.get(kind, PLACEHOLDERS[kind])


def signal_of(kind: str) -> str:
    """The signal that holds how often a kind was found in a document."""
    return f"pii_{kind}"


def dropped_kinds(options: JsonObject) -> list[Kind]:
    """The kinds that drop a document, by the options of the cleaner."""
    section = Pii.model_validate(options)
    return [kind for kind in section.kinds if section.action_of(kind) == "drop"]


def limits_problem(limits: JsonObject, cleaner: JsonObject | None) -> str:
    """What is wrong with the options of the filter `pii` beside those of the cleaner (None: there is none), or ""."""
    if cleaner is None:
        return "the filter pii reads what the cleaner pii counts. Add it: cleaners: [unicode, pii]."
    kinds = Pii.model_validate(cleaner).kinds
    for option, limit in limits.items():
        kind = option.removeprefix("max_")
        if kind in KINDS and kind not in kinds and any(value is not None for value in limit.values()):
            return f"the filter pii limits {kind}, which the cleaner pii does not look for. Add it to its kinds."
    return ""
