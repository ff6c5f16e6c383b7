"""Looks at the built documentation as a reader does: links, and each page in a browser, on a laptop and on a phone.

`make docs-check` runs it after a build; it is no part of what is checked before a merge, as it needs a browser. Links
inside the site are followed to their anchors without one. In headless Chromium no page may complain in its console, ask
for a file that is not there, or be wider than the screen of a phone.

    python docs/check_site.py build/docs [--screenshots FOLDER]
"""

import argparse
import asyncio
import base64
import functools
import http.client
import http.server
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tornado.websocket import (
    WebSocketClientConnection,
    websocket_connect,
)  # comes with ipykernel, which builds the site

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SCREENS = {"laptop": (1280, 800), "phone": (375, 812)}
PATIENCE_SECONDS = 30.0
UNCHECKED = ("_static/", "_sources/")
"""What the theme brings: no page of ours."""

# What sticks out on the right, the innermost element first; a box that scrolls by itself may hold what is wider.
WIDEST = """(() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth <= width) return "";
  for (const each of document.querySelectorAll("article *")) {
    const box = each.getBoundingClientRect();
    if (box.right > width + 1 && box.width > 0) found.push(each);
  }
  const last = found.pop();
  return `${document.documentElement.scrollWidth} px wide, by ` +
    (last ? `<${last.tagName.toLowerCase()} class="${last.className}"> ${last.textContent.slice(0, 60)}` : "the theme");
})()"""


class Page(HTMLParser):
    """Holds what a page can be linked to, and what it links to."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the anchors and the links of one element."""
        for name, value in attrs:
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def pages_of(site: Path) -> dict[Path, Page]:
    """Return the pages of a site by their places in it."""
    found = (path for path in sorted(site.rglob("*.html")) if not str(path.relative_to(site)).startswith(UNCHECKED))
    return {path.relative_to(site): Page(path.read_text(encoding="utf-8")) for path in found}


def broken_links(site: Path) -> list[str]:
    """Return a line for each link inside the site that leads nowhere: no file, or no such anchor in it."""
    pages, broken = pages_of(site), []
    for place, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # of another site, or data in the page itself
            folder = site.resolve() if parts.path.startswith("/") else (site / place).parent
            file = (folder / unquote(parts.path).lstrip("/")).resolve() if parts.path else (site / place).resolve()
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                broken.append(f"{place}: {link}: there is no such file")
            elif parts.fragment and file.suffix == ".html":
                other = pages.get(file.relative_to(site.resolve()))
                if other is not None and unquote(parts.fragment) not in other.anchors:
                    broken.append(f"{place}: {link}: the page has no such anchor")
    return broken


class Browser:
    """One tab of headless Chromium, spoken to by its DevTools protocol."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        """Speak over a connection to a tab."""
        self._connection = connection
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; events that come meanwhile are kept."""
        number = next(self._numbers)
        await self._connection.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = await self._next()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"Chromium refused {method}: {message['error']['message']}")
                answer: dict[str, Any] = message["result"]
                return answer
            self._events.append(message)

    async def open(self, address: str) -> list[str]:
        """Show a page; return what its console and its requests complained of."""
        self._events.clear()
        await self.ask("Page.navigate", url=address)
        while not any(each["method"] == "Page.loadEventFired" for each in self._events):
            self._events.append(await self._next())
        await self.value("new Promise(done => setTimeout(done, 50))")  # what scripts do after loading
        return [text for event in self._events if (text := complaint(event))]

    async def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    async def screenshot(self, path: Path) -> None:
        """Write the page, as long as it is, up to some screens."""
        size = (await self.ask("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 4000), "scale": 1}
        answer = await self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    async def _next(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self._connection.read_message(), PATIENCE_SECONDS)
        if text is None:
            raise RuntimeError("Chromium ended while it was spoken to")
        message: dict[str, Any] = json.loads(text)
        return message


def complaint(event: dict[str, Any]) -> str:
    """Return what an event says went wrong, or nothing."""
    what = event["params"]
    if event["method"] == "Runtime.exceptionThrown":
        return str(what["exceptionDetails"].get("exception", {}).get("description") or what["exceptionDetails"]["text"])
    if event["method"] == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
        return " ".join(str(each.get("value", each.get("description"))) for each in what["args"])
    if event["method"] == "Log.entryAdded" and what["entry"]["level"] == "error":
        return f"{what['entry']['text']} {what['entry'].get('url', '')}"
    return ""


async def look(program: str, address: str, places: list[Path], folder: Path | None) -> list[str]:
    """Return a line for each thing that is wrong with a page on a screen."""
    wrong = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        with subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                browser = Browser(await websocket_connect(tab_of(process), max_message_size=1 << 28))
                for domain in ("Page", "Runtime", "Log"):
                    await browser.ask(f"{domain}.enable")
                for (screen, (width, height)), place in itertools.product(SCREENS.items(), places):
                    await browser.ask(
                        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                        mobile=screen == "phone",
                    )  # fmt: skip
                    for text in await browser.open(f"{address}/{place}"):
                        wrong.append(f"{place}, {screen}: {text}")
                    if wide := await browser.value(WIDEST):
                        wrong.append(f"{place}, {screen}: {wide}")
                    if folder is not None:
                        await browser.screenshot(
                            folder / f"{str(place.with_suffix('')).replace('/', '-')}.{screen}.png"
                        )
            finally:
                process.terminate()
    return wrong


def tab_of(process: "subprocess.Popen[str]") -> str:
    """Return the address of the one tab of a browser that starts."""
    assert process.stderr is not None
    for line in process.stderr:  # ends with the process, should that fail
        if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
            # Read on, or the browser waits for its full pipe.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return page_address(found[1])
    raise RuntimeError(f"Chromium did not start: it ended with {process.wait()}")


def page_address(host: str) -> str:
    """Return where the first tab listens."""
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/json/list")
    tabs = json.loads(connection.getresponse().read())
    return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps no log of it."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the name that the class asks for
        """Say nothing: what is missing is told by the browser."""


def served(site: Path) -> http.server.ThreadingHTTPServer:
    """Return a server of a folder at a free port of this machine: pages read from a disc may not load their scripts."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def findings(site: Path, folder: Path | None) -> Iterator[str]:
    """Yield a line for each thing that is wrong."""
    yield from broken_links(site)
    yield from seen(site, folder)


def seen(site: Path, folder: Path | None) -> list[str]:
    """Return what is wrong in a browser; without one, say so."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    places = list(pages_of(site))
    if program is None:
        sys.stderr.write(
            f"no browser was found ({', '.join(BROWSERS)}): links were followed, no page was opened; "
            "apt-get install chromium\n"
        )
        raise SystemExit(2)
    server = served(site)
    try:
        return asyncio.run(look(program, f"http://127.0.0.1:{server.server_port}", places, folder))
    finally:
        server.shutdown()


def main() -> None:
    """Check a site; end with 1 where something is wrong, with 2 where no browser is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="the folder of the built pages")
    parser.add_argument("--screenshots", type=Path, help="a folder for a picture of each page on each screen")
    chosen = parser.parse_args()
    if not (chosen.site / "index.html").is_file():
        parser.error(f"{chosen.site} holds no index.html; `make docs` builds the site")
    if chosen.screenshots:
        chosen.screenshots.mkdir(parents=True, exist_ok=True)
    found = list(findings(chosen.site, chosen.screenshots))
    print("\n".join([*found, f"{len(pages_of(chosen.site))} pages, {len(found)} findings"]))
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
