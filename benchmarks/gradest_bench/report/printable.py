"""Spells out what must not reach a reader raw: control characters for any screen, and HTML's own for a page.

What stands in a record may be another's. This module knows no record.
"""

import html
import re

# C0 without tabulator and newline, DEL, C1, what turns the order of letters round or ends a line unseen, and halves of
# pairs, which JSON can name and no file in UTF-8 can hold
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Return a text with every control character spelled out, so that none of them reaches a terminal or a page.

    An escape sequence would write titles, the clipboard or lines that nobody printed.

    Examples
    --------
    >>> from gradest_bench.report.printable import shown
    >>> print(shown("\\x1b[31mred"))
    \\x1b[31mred
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape(text: str) -> str:
    """Return a text as HTML shows it, as content or in the quotes of an attribute, control characters spelled out.

    Examples
    --------
    >>> from gradest_bench.report.printable import escape
    >>> escape('a "quote" & <b>\\x07')
    'a &quot;quote&quot; &amp; &lt;b&gt;\\\\x07'
    """
    return html.escape(shown(text), quote=True)
