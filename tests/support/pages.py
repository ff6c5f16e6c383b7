"""Reads pages as a browser without a script would: tags that close in order, addresses, words."""

import html
import html.parser
import re


class Outline(html.parser.HTMLParser):
    """Checks that tags are closed in order, and collects addresses that a browser would fetch."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "line", "rect", "polyline", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def outline(page: str) -> Outline:
    """Return what a page is made of; tags that are not closed in order fail."""
    found = Outline()
    found.feed(page)
    assert found.open == []
    return found


def plain_text(page: str) -> str:
    """Return the words of a page without its style and script, as a reader without either has them."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def rows(page: str, name: str) -> list[list[str]]:
    """Return the words of each row of a table of a page."""
    table = page[page.index(f'data-name="{html.escape(name)}"') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    return [
        [plain_text(cell).strip() for cell in re.findall("<td.*?</td>", row)]
        for row in re.findall("<tr>.*?</tr>", body)
    ]
