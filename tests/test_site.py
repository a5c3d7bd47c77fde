"""The built site in a real browser: desktop and phone, light and dark, nothing from outside."""

import functools
import http.server
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from bookbuild import freshness, pairing
from bookbuild.project import Project

PROJECT = Project(Path(__file__).parents[1])
SITE = PROJECT.build / "html"
SHOTS = PROJECT.build / "screenshots"
PAGES = ["book/index", "book/how_to_read", "book/scoreboard", "book/bibliography"]
PAGES += [f"book/{chapter.part}/index" for chapter in PROJECT.chapters[:1]]
PAGES += [chapter.docname for chapter in PROJECT.chapters]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site():
    if not (PROJECT.build / "complete").exists():
        pytest.fail("there is no whole site; build it with: make book")
    handler = functools.partial(_Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        pytest.fail("no Chromium; install it (Debian: apt-get install chromium)")
    SHOTS.mkdir(parents=True, exist_ok=True)
    options = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def visit(site, chromium):
    """Open a page; on closing, nothing may have failed, complained or left the site."""
    contexts, faults = [], []

    def open_page(name, width=1280, scheme="light", query=""):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{name}: {error}"))
        page.on("requestfailed", lambda request: faults.append(f"{name}: failed {request.url}"))
        page.on(
            "console",
            lambda m: faults.append(f"{name}: {m.text}") if m.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((site, "data:", "blob:"))
                else faults.append(f"{name}: outside {request.url}")
            ),
        )
        page.goto(f"{site}/{name}.html{query}", wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_draws_its_equations(visit, name, width):
    page = visit(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    formulas = page.locator(".math").count()
    if formulas:
        page.wait_for_selector("mjx-container")
        assert page.locator(".math mjx-container").count() >= formulas
        assert page.locator("mjx-merror").count() == 0
    for image in page.locator("main img").all():
        assert (image.get_attribute("alt") or "").strip()
        assert image.evaluate("i => i.complete && i.naturalWidth > 0")
    page.screenshot(path=SHOTS / f"{name.replace('/', '-')}-{width}.png")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_in_the_dark(visit, name):
    page = visit(name, scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.screenshot(path=SHOTS / f"{name.replace('/', '-')}-dark.png")


@pytest.mark.parametrize("chapter", PROJECT.chapters, ids=lambda c: c.slug)
def test_a_chapter_shows_what_its_run_measured(visit, chapter):
    notebook = pairing.read(chapter.notebook)
    assert freshness.is_current(notebook, PROJECT.root / "lib")
    claims = freshness.claims_bundle(notebook)["claims"]
    page = visit(chapter.docname)
    for claim in claims:
        row = page.locator(f"tr[id='{claim['id']}']")
        assert row.count() == 1
        assert claim["verdict"] in row.inner_text()
    figures = sum(
        "alt" in output.get("metadata", {}).get(kind, {})
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in ("image/svg+xml", "image/png")
    )
    assert page.locator("main figure img[alt]").count() == figures > 0
    assert page.locator("main figure figcaption").count() == figures


def _column(page, k):
    cells = page.locator(f".scoreboard tbody tr:not([hidden]) td:nth-child({k})")
    return cells.all_inner_texts()


def test_the_scoreboard_has_all_papers_sorts_and_filters(visit):
    page = visit("book/scoreboard")
    rows = json.loads((SITE / "book/scoreboard.json").read_text())
    assert {row["slug"] for row in rows} == set(PROJECT.papers)
    assert len(_column(page, 1)) == len(rows)
    page.get_by_role("button", name="Paper", exact=True).click()
    ascending = _column(page, 1)
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Paper")
    page.get_by_role("button", name="Paper", exact=True).click()
    assert _column(page, 1)[0] != ascending[0]
    assert sorted(_column(page, 1)) == sorted(ascending)
    page.get_by_label("Verdict").select_option("holds")
    held = sum(row["verdict"] == "holds" for row in rows)
    assert len(_column(page, 1)) == held > 0
    page.get_by_label("Text").fill("no such words anywhere")
    assert _column(page, 1) == []
    assert page.locator(".scoreboard-controls output").inner_text() == f"0 of {len(rows)} rows"


def test_the_scoreboard_stands_without_javascript(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/book/scoreboard.html")
    rows = json.loads((SITE / "book/scoreboard.json").read_text())
    assert page.locator(".scoreboard tbody tr").count() == len(rows)
    context.close()


def test_search_finds_a_method(visit):
    page = visit("search", query="?q=Slepian")
    page.wait_for_selector("#search-results li", timeout=10_000)
    assert "Persistency" in page.locator("#search-results").inner_text()
