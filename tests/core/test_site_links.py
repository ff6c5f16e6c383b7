"""The follower of the site's links finds what leads nowhere, and nothing else."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

CHECK = Path(__file__).parents[2] / "docs" / "check_site.py"


@pytest.fixture(scope="module")
def check_site() -> ModuleType:
    pytest.importorskip("tornado", reason="tornado is not installed: pip install 'gradest[docs]'")
    spec = importlib.util.spec_from_file_location("check_site", CHECK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def site(folder: Path, links: str) -> Path:
    (folder / "deep").mkdir()
    (folder / "index.html").write_text(f'<a id="here" href="deep/page.html#below">x</a>{links}', encoding="utf-8")
    (folder / "deep" / "page.html").write_text('<h2 id="below">y</h2><a href="../">up</a>', encoding="utf-8")
    (folder / "a b.png").write_bytes(b"")
    return folder


GOOD = (
    '<a href="#here">',
    '<a href="deep/page.html">',
    '<a href="deep/page.html#below">',
    '<img src="a%20b.png">',
    '<a href="https://example.org/nowhere">',
    '<a href="mailto:someone@example.org">',
    '<img src="data:image/png;base64,AA==">',
    '<a href="deep/page.html?query#below">',
)
BAD = {
    '<a href="#gone">': "index.html: #gone: the page has no such anchor",
    '<a href="deep/page.html#above">': "index.html: deep/page.html#above: the page has no such anchor",
    '<a href="other.html">': "index.html: other.html: there is no such file",
    '<img src="deep/b.png">': "index.html: deep/b.png: there is no such file",
    '<script src="/gone.js"></script>': "index.html: /gone.js: there is no such file",
}


def test_links_that_lead_somewhere_are_let_be(check_site: ModuleType, tmp_path: Path) -> None:
    assert check_site.broken_links(site(tmp_path, "".join(GOOD))) == []


@pytest.mark.parametrize("link", BAD)
def test_links_that_lead_nowhere_are_told(check_site: ModuleType, tmp_path: Path, link: str) -> None:
    assert check_site.broken_links(site(tmp_path, link)) == [BAD[link]]


def test_without_a_browser_it_says_so(
    check_site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_site, "BROWSERS", ("no-such-browser",))
    with pytest.raises(SystemExit) as ended:
        list(check_site.findings(site(tmp_path, ""), None))
    assert ended.value.code == 2
    assert "no browser was found (no-such-browser): links were followed, no page was opened" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"method": "Runtime.consoleAPICalled", "params": {"type": "error", "args": [{"value": "no"}]}}, "no"),
        ({"method": "Runtime.consoleAPICalled", "params": {"type": "log", "args": [{"value": "yes"}]}}, ""),
        ({"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": {"text": "Uncaught"}}}, "Uncaught"),
        ({"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": "404", "url": "x"}}}, "404 x"),
        ({"method": "Page.loadEventFired", "params": {}}, ""),
    ],
)
def test_what_a_page_complains_of_is_told(check_site: ModuleType, event: dict[str, object], told: str) -> None:
    assert check_site.complaint(event) == told
