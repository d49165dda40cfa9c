"""URLs and lines of blocklists in the form in which they are compared."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.filters import addresses


@pytest.mark.parametrize(
    ("url", "host", "page"),
    [
        ("https://WWW.Example.com:8080/A/b/?q=1#top", "example.com", "example.com/a/b/?q=1"),
        ("http://user:pw@sub.example.co.uk/", "sub.example.co.uk", "sub.example.co.uk"),
        ("//example.org/x", "example.org", "example.org/x"),
        ("example.org", "example.org", "example.org"),
        ("https://例子.测试/页", "xn--fsqu00a.xn--0zwm56d", "xn--fsqu00a.xn--0zwm56d/页"),
        ("ftp://93.184.216.34/a.b@c", "93.184.216.34", "93.184.216.34/a.b@c"),
        ("", "", ""),
    ],
)
def test_a_url_is_compared_by_host_and_page(url: str, host: str, page: str) -> None:
    urls = pl.Series([url], dtype=pl.String)
    assert (addresses.hosts(urls)[0], addresses.pages(urls)[0]) == (host, page)


def test_the_domains_of_a_host_have_two_labels_at_least() -> None:
    (row,) = addresses.domains(pl.Series(["a.b.example.com"])).rows()
    assert [domain for domain in row if domain] == ["a.b.example.com", "b.example.com", "example.com"]


def test_lines_of_every_usual_list_are_read() -> None:
    lines = ["# comment", "! comment", "", "0.0.0.0 ads.example.com", "||track.example.net^$third-party",
             "*.bad.example", "https://example.org/page/", "Plain.Example # why", "plain.example"]  # fmt: skip
    assert addresses.entries(pl.Series(lines)).to_list() == [
        "ads.example.com", "track.example.net", "bad.example", "example.org/page", "plain.example",
    ]  # fmt: skip
