"""URLs and domains in the form in which blocklists compare them: lower case, punycode, no scheme, user, port, www.

Polars expressions over a column; only host names in other scripts are converted one by one, each once.
"""

from __future__ import annotations

import polars as pl

MOST_LABELS = 8  # of a host, below which domains are compared


def hosts(urls: pl.Series) -> pl.Series:
    """The host of each URL; empty where there is none."""
    host = _without_scheme(urls).str.extract(r"^([^/?:]*)").str.strip_chars(".").str.replace(r"^www\.", "")
    return _ascii(host.fill_null(""))


def pages(urls: pl.Series) -> pl.Series:
    """Host, path and query of each URL, without a slash at the end."""
    rest = _without_scheme(urls).str.replace(r"^[^/?]*", "").str.strip_chars_end("/")
    return hosts(urls) + rest.fill_null("")


def domains(host: pl.Series) -> pl.DataFrame:
    """A column for each level: the host, then without its first label, and so on, while two labels are left."""
    levels = [host]
    for _ in range(MOST_LABELS):
        above = levels[-1]
        levels.append(above.str.extract(r"^[^.]*\.(.*\..*)$").fill_null(""))
    return pl.DataFrame({str(level): values for level, values in enumerate(levels)})


def entries(lines: pl.Series) -> pl.Series:
    """What the lines of a blocklist block: domains, or pages where a line has a path. Comments are left out."""
    text = lines.str.strip_chars().str.replace(r"^(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+", "")
    text = text.str.replace(r"^\|\|", "").str.replace(r"\^.*$", "").str.replace(r"\s.*$", "").str.replace(r"^\*\.", "")
    text = text.filter((text != "") & ~text.str.contains(r"^[#!\[]"))
    return pages(text).unique(maintain_order=True)


def _without_scheme(urls: pl.Series) -> pl.Series:
    text = urls.str.strip_chars().str.to_lowercase().str.replace(r"^[a-z][a-z0-9+.-]*://|^//", "")
    return text.str.replace(r"#.*$", "").str.replace(r"^[^/?@]*@", "")


def _ascii(host: pl.Series) -> pl.Series:
    """Names in other scripts as punycode; a name that has none stays as it is."""
    wide = host.filter(host.str.contains(r"[^\x00-\x7f]")).unique()
    if not len(wide):
        return host
    return host.replace(wide, pl.Series([_punycode(name) for name in wide.to_list()], dtype=pl.String))


def _punycode(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
