"""Addresses and accounts that are words: e-mail, users in URLs, API and private keys, WeChat and QQ.

The formats of keys are those that their services document; a key needs its prefix and its length.
"""

from __future__ import annotations

import re

from pipeline.kernels.gates import AT_SIGN, FIRST_WORD_GROUP
from pipeline.pii.base import PiiRule

KEY, PRIVATE_KEY, WECHAT, QQ, SPELLED_AT = range(FIRST_WORD_GROUP, FIRST_WORD_GROUP + 5)

# (prefix, its rarest sign, what follows it)
KEY_FORMATS: tuple[tuple[str, str, str], ...] = (
    ("sk-", "-", r"[A-Za-z0-9_-]{20,}"),  # OpenAI, Anthropic, DeepSeek, Stripe's older test keys
    ("sk_live_", "_", r"[A-Za-z0-9]{16,}"), ("sk_test_", "_", r"[A-Za-z0-9]{16,}"),
    ("rk_live_", "_", r"[A-Za-z0-9]{16,}"), ("pk_live_", "_", r"[A-Za-z0-9]{16,}"),
    ("AKIA", "K", r"[0-9A-Z]{16}"), ("ASIA", "S", r"[0-9A-Z]{16}"),
    ("LTAI", "T", r"[0-9A-Za-z]{12,}"), ("AKID", "K", r"[0-9A-Za-z]{32}"),
    ("AIza", "z", r"[0-9A-Za-z_-]{35}"), ("ya29.", "9", r"[0-9A-Za-z_-]{20,}"),
    ("ghp_", "_", r"[A-Za-z0-9]{36}"), ("gho_", "_", r"[A-Za-z0-9]{36}"), ("ghu_", "_", r"[A-Za-z0-9]{36}"),
    ("ghs_", "_", r"[A-Za-z0-9]{36}"), ("ghr_", "_", r"[A-Za-z0-9]{36,76}"),
    ("github_pat_", "_", r"[A-Za-z0-9_]{60,}"), ("glpat-", "-", r"[A-Za-z0-9_-]{20,}"),
    ("xoxb-", "x", r"[0-9A-Za-z-]{10,}"), ("xoxp-", "x", r"[0-9A-Za-z-]{10,}"),
    ("xoxa-", "x", r"[0-9A-Za-z-]{10,}"), ("xoxr-", "x", r"[0-9A-Za-z-]{10,}"),
    ("xoxs-", "x", r"[0-9A-Za-z-]{10,}"), ("xapp-", "x", r"[0-9A-Za-z-]{20,}"),
    ("hooks.slack.com/services/", "/", r"T[0-9A-Z]{6,12}/B[0-9A-Z]{6,12}/[0-9A-Za-z]{20,}"),
    ("eyJ", "J", r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("SG.", "S", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,}"), ("hf_", "_", r"[A-Za-z0-9]{30,}"),
    ("npm_", "_", r"[A-Za-z0-9]{36}"), ("pypi-", "-", r"[A-Za-z0-9_-]{50,}"),
    ("dckr_pat_", "_", r"[A-Za-z0-9_-]{20,}"), ("dop_v1_", "_", r"[a-f0-9]{64}"), ("gsk_", "_", r"[A-Za-z0-9]{40,}"),
    ("shpat_", "_", r"[a-fA-F0-9]{32}"), ("glsa_", "_", r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}"),
    ("r8_", "_", r"[A-Za-z0-9]{37,}"), ("xkeysib-", "x", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    ("key-", "-", r"[0-9a-f]{32}"), ("hvs.", "v", r"[A-Za-z0-9_-]{80,}"), ("AGE-SECRET-KEY-1", "Y", r"[0-9A-Z]{58}"),
    ("AccountKey=", "=", r"[A-Za-z0-9+/]{86}=="), (":AA", ":", r"[A-Za-z0-9_-]{33}"),
)  # fmt: skip
WECHAT_WORDS = "微信 薇信 威信 WeChat Wechat wechat WECHAT weixin Weixin WeiXin vx VX".split()
QQ_WORDS = ("QQ", "qq", "Qq", "扣扣", "企鹅号")
SPELLED_SIGNS = ("(at)", "[at]", "{at}", "(AT)", "[AT]")

# names of files, not of machines: icon@2x.png
NO_DOMAINS = frozenset(b"png jpg jpeg gif svg webp css js ts py json html htm so dll txt md yml yaml".split())
SERVICE_USERS = frozenset(b"git hg svn anonymous ftp".split())
LOCAL_SIGN = re.compile(rb"[A-Za-z0-9._%+-]\Z")
KEY_EDGE = re.compile(rb"[A-Za-z0-9_]")
WECHAT_STOP = frozenset("wechat weixin official account public mini program number group service login client".split())


def email(window: bytes, start: int, end: int) -> int:
    """A local part, a domain, and a last label of letters that is no ending of a file."""
    text = window[start:end]
    local, _, domain = text.rpartition(b"@")
    ending = domain.rpartition(b".")[2].lower()
    if LOCAL_SIGN.search(window[max(0, start - 1) : start]) and window[start - 1 : start] not in b".-_%+":
        return 0
    if ending in NO_DOMAINS or local.lower() in SERVICE_USERS or b".." in text:
        return 0
    return 0 if re.match(rb"[A-Za-z0-9_@]|[.-][0-9]", window[end : end + 2]) else end


def spelled_email(window: bytes, start: int, end: int) -> int:
    """An address whose @ is a word in brackets."""
    return 0 if LOCAL_SIGN.search(window[max(0, start - 1) : start]) or window[end : end + 1].isalnum() else end


def url_user(window: bytes, start: int, end: int) -> int:
    """A URL that names a user, with a password or without; services that everyone enters by one name are no person."""
    text = window[start:end]
    if window[max(0, start - 1) : start].isalnum():
        return 0
    user, _, password = text.partition(b"://")[2].partition(b"@")[0].partition(b":")
    if not password and user.lower() in SERVICE_USERS:
        return 0
    return start + len(text.rstrip(b".,;:!?"))


def api_key(window: bytes, start: int, end: int) -> int:
    """The prefix and the length say what it is; a key in letters alone is a word with hyphens."""
    if KEY_EDGE.match(window[max(0, start - 1) : start]) or KEY_EDGE.match(window[end : end + 1]):
        return 0
    body = window[start:end]
    return end if any(48 <= byte <= 57 for byte in body) or len(body) > 60 else 0


def private_key(window: bytes, start: int, end: int) -> int:
    return end


def wechat_id(window: bytes, start: int, end: int) -> int:
    """What begins with wxid_, or 6 to 20 signs behind a word for it; letters alone must follow 号 or ID."""
    text = window[start:end]
    if text.startswith(b"wxid_"):
        return 0 if KEY_EDGE.match(window[max(0, start - 1) : start]) or KEY_EDGE.match(window[end : end + 1]) else end
    if KEY_EDGE.match(window[end : end + 1]) or window[end : end + 1] in (b"@", b"/") or text.decode() in WECHAT_WORDS:
        return 0
    has_sign = any(not chr(byte).isalpha() for byte in text)
    before = window[max(0, start - 24) : start].decode("utf-8", "ignore").rstrip()
    if not has_sign and not before.endswith(("号", "号:", "号：", "号是", "号为", "ID:", "ID：", "id:", "id：")):
        return 0
    return 0 if text.decode().lower() in WECHAT_STOP else end


def qq_number(window: bytes, start: int, end: int) -> int:
    """5 to 11 digits behind QQ."""
    return 0 if re.match(rb"[A-Za-z0-9_%]|[.-][0-9]", window[end : end + 2]) else end


_LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._%+'-]{0,62}[A-Za-z0-9_%+-])?"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}[A-Za-z]{2,24}"
_AT = r"\s?(?:\((?i:at)\)|\[(?i:at)\]|\{(?i:at)\})\s?"
_DOT = r"(?:\.|\s?(?:\((?i:dot)\)|\[(?i:dot)\]|\{(?i:dot)\})\s?| dot )"
_URL = r"[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s/:@\"'<>?#]{1,64}(?::[^\s/@\"'<>]*)?@[^\s\"'<>，。；、）)】」]+"
_WECHAT_WORD = r"(?:微信|薇信|威信|(?i:we\s?chat|wei\s?xin)|\b(?i:vx))"
_QQ_WORD = r"(?:(?i:QQ)|扣扣|企鹅号)"
RULES = (
    PiiRule("url_user", (AT_SIGN,), _URL, url_user),
    PiiRule(
        "private_key",
        (PRIVATE_KEY,),
        r"-----BEGIN (?:[A-Z0-9 ]{1,} )?PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-[^-])*"
        r"-----END (?:[A-Z0-9 ]{1,} )?PRIVATE KEY(?: BLOCK)?-----"
        r"|-----BEGIN (?:[A-Z0-9 ]{1,} )?PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\\\s]*",
        private_key,
    ),
    PiiRule(
        "api_key",
        (KEY,),
        "|".join(
            (r"\d{8,10}" if prefix == ":AA" else "") + re.escape(prefix) + body for prefix, _, body in KEY_FORMATS
        ),
        api_key,
    ),
    PiiRule("email", (AT_SIGN,), f"{_LOCAL}@{_DOMAIN}", email),
    PiiRule(
        "email",
        (SPELLED_AT,),
        rf"[A-Za-z0-9._%+-]{{1,64}}(?:{_AT})(?:[A-Za-z0-9-]{{1,63}}{_DOT}){{1,4}}[A-Za-z]{{2,24}}",
        spelled_email,
    ),
    PiiRule("wechat", (WECHAT,), r"wxid_[A-Za-z0-9_-]{6,}", wechat_id),
    PiiRule(
        "wechat",
        (WECHAT,),
        rf"{_WECHAT_WORD}(?:号码?|群|帐号|账号|\s?(?i:id|no\.?|number|account))?[\s:：是为=)）]{{0,4}}([A-Za-z][A-Za-z0-9_-]{{5,19}})",
        wechat_id,
    ),
    PiiRule(
        "qq",
        (QQ,),
        rf"{_QQ_WORD}(?:号码?|交流群|群号?|(?i:\s?(?:number|no\.?|id|group)))?[\s:：是为=#（(]{{0,4}}([1-9]\d{{4,10}})",
        qq_number,
    ),
)  # fmt: skip
# (word, position of its trigger byte, group): the rarest sign of a key; the second byte of a Han character
WORDS: tuple[tuple[bytes, int, int], ...] = (
    *((prefix.encode(), prefix.index(sign), KEY) for prefix, sign, _ in KEY_FORMATS),
    (b"-----BEGIN", 5, PRIVATE_KEY),
    (b"wxid_", 4, WECHAT),
    *((word.encode(), 1, WECHAT) for word in WECHAT_WORDS),
    *((word.encode(), 1, QQ) for word in QQ_WORDS),
    ("ＱＱ".encode(), 2, QQ),
    *((sign.encode(), 3, SPELLED_AT) for sign in SPELLED_SIGNS),
)
