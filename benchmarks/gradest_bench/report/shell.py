"""Puts the content of a page into one HTML file that needs nothing else. This module knows no run."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files

from gradest_bench.report.printable import escape

_STYLES = ("report.css",)
_SCRIPTS = ("view.js", "figures.js", "axes.js", "images.js", "tables.js")
"""In this order: the others read and write what is seen through `view.js`."""


def document(title: str, header: str, sections: Mapping[str, str]) -> str:
    """Return a page as the text of one HTML file: its title, what stands below it, and its sections by their names."""
    # style and script stand in the page: it is read from a mail or a disk, where nothing lies beside it
    style, script = _text(_STYLES), _text(_SCRIPTS)
    links = "".join(f'<a href="#{name}">{name}</a>' for name in sections)
    content = "".join(
        f'<section id="{name}"><h2>{name.capitalize()}</h2>{content}</section>' for name, content in sections.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{style}</style></head><body>'
        f'<a class="skip" href="#{next(iter(sections))}">to the {next(iter(sections))}</a>'
        f"<header><h1>{escape(title)}</h1>{header}<nav>{links}</nav></header><main>{content}</main>"
        f'<div id="tip" role="tooltip"></div><script>{script}</script></body></html>\n'
    )


def facts(found: Sequence[tuple[str, str]]) -> str:
    """Return few numbers in large letters, each with what it is."""
    shown = "".join(
        f'<div class="fact"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in found
    )
    return f'<div class="facts">{shown}</div>'


def definitions(found: Sequence[tuple[str, str]]) -> str:
    """Return names and what they are, as a list of definitions; those with nothing to say are left out."""
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in found if text)
    return f'<dl class="about">{shown}</dl>'


def sentences(found: Sequence[str]) -> str:
    """Return sentences as a list; nothing for none."""
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in found)}</ul>" if found else ""


def folded(summary: str, content: str, *, opened: bool = False) -> str:
    """Return content that is folded away below a line that opens it; no script is needed for that."""
    return f"<details{' open' if opened else ''}><summary>{escape(summary)}</summary>{content}</details>"


def _text(names: Sequence[str]) -> str:
    return "".join(files("gradest_bench.report").joinpath(name).read_text(encoding="utf-8") for name in names)


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy of the page: its own style and script by their hashes, and nothing else.

    What came out of a record is escaped; should any ever slip through, it still would not run, load or send anything.
    """
    texts = {"style": style, "script": script}
    sources = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for name, text in texts.items()}
    hashes = "; ".join(f"{name}-src 'sha256-{digest}'" for name, digest in sources.items())
    return f"default-src 'none'; {hashes}; img-src data:; base-uri 'none'; form-action 'none'"
