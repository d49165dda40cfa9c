"""The cleaners `c4_lines` and `refinedweb_lines`: lines that published recipes remove, and their Chinese counterparts.

- `c4_lines`: lines with a word of more than 1,000 characters, without an end mark, with too few words, that mention
  JavaScript or a policy; citations such as [12] are removed. Lines that damn their page (lorem ipsum, a curly bracket)
  stay, so that the filter `c4` drops the page. A document that would lose every line stays as it is: C4 was made for
  English, and the filter says in which languages such a page is dropped.
- `refinedweb_lines`: menus, counters, numbers, capitals, single words, if they hold at most 5 % of the words; the
  filter `refinedweb` drops the others.

Both are idempotent: c4_lines counts words after citations are removed (datatrove before). Lines lose white space at
their ends.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.cleaners.base import Cleaner
from pipeline.cleaners.section import C4Lines as C4Options
from pipeline.cleaners.section import RefinedWebLines as RefinedWebOptions

LEAST_WORDS = {"paper": 3, "datatrove": 3, "code": 5}


class C4Lines(Cleaner):
    """Applies C4's rules for lines."""

    Options = C4Options
    options: C4Options

    def clean(self, text: pa.Array) -> pa.Array:
        from pipeline.kernels.c4_lines import LineRules
        from pipeline.kernels.line_edit import edit_c4_lines

        exact = self.options.reading == "datatrove"
        rules = LineRules(self.options.end_mark, exact, False, LEAST_WORDS[self.options.reading], not exact)
        return edit_c4_lines(text, rules)


class RefinedWebLines(Cleaner):
    """Applies RefinedWeb's rules for lines."""

    Options = RefinedWebOptions
    options: RefinedWebOptions

    def clean(self, text: pa.Array) -> pa.Array:
        from pipeline.kernels.line_edit import edit_menu_lines

        return edit_menu_lines(text, 100 * self.options.max_flagged_words)
