"""The filter `pii`: drops documents with more personal data than a limit, in all or of a kind.

It reads the signals of the cleaner `pii`, which counts what it finds. All limits are off by default.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.filters.base import Filter, Rule
from pipeline.filters.limits import Limits, Thresholds
from pipeline.pii.section import signal_of

OFF: Limits = {"words": None, "characters": None}
TOTAL = "max_total"


class PiiLimits(Thresholds):
    """How many matches of the cleaner `pii` a document may have: in all, and of each kind."""

    max_total: Limits = OFF
    max_url_user: Limits = OFF
    max_private_key: Limits = OFF
    max_api_key: Limits = OFF
    max_email: Limits = OFF
    max_wechat: Limits = OFF
    max_qq: Limits = OFF
    max_cn_id: Limits = OFF
    max_iban: Limits = OFF
    max_bank_card: Limits = OFF
    max_phone_cn: Limits = OFF
    max_landline_cn: Limits = OFF
    max_phone_us: Limits = OFF
    max_phone_international: Limits = OFF
    max_us_ssn: Limits = OFF
    max_ipv4: Limits = OFF
    max_ipv6: Limits = OFF


class PersonalDataLimits(Filter):
    """Each option is a rule over the signal of its kind."""

    Options = PiiLimits

    def rules(self) -> Sequence[Rule]:
        limits = {option: getattr(self.options, option) for option in PiiLimits.model_fields}
        return [
            self.rule(option, "pii" if option == TOTAL else signal_of(option.removeprefix("max_")))
            for option, by_language in limits.items()
            if any(limit is not None for limit in by_language.values())
        ]
