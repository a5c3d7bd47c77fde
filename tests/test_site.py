"""The built site in a real browser: desktop and phone, light and dark, nothing from outside.

What each page weighs and how soon it answers is written to ``_build/screenshots/*.csv`` and
printed when the tests end.
"""

import functools
import gzip
import http.server
import json
import threading
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from bookbuild import freshness, pairing, pdf
from bookbuild.project import PARTS, Project
from bookbuild.render import IMAGES

PROJECT = Project(Path(__file__).parents[1])
SITE = PROJECT.build / "html"
SHOTS = PROJECT.build / "screenshots"
PAGES = sorted(
    str(path.relative_to(PROJECT.root).with_suffix(""))
    for pattern in ("book/*.md", "book/*/index.md", "book/api/[!i]*.md")
    for path in PROJECT.root.glob(pattern)
)
PAGES += [chapter.docname for chapter in PROJECT.chapters]
CHAPTERS = pytest.mark.parametrize("chapter", PROJECT.chapters, ids=lambda c: c.slug)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
HEAVIEST = 1_000_000  # bytes, compressed, of a page and all it loads, its figures apart


@functools.cache
def _compressed(path):
    return gzip.compress(Path(path).read_bytes())


class _Host(http.server.SimpleHTTPRequestHandler):
    """A static host: silent, and it compresses texts, as all of them do."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if path.suffix not in (".html", ".css", ".js", ".svg") or not path.is_file():
            return super().do_GET()
        body = _compressed(str(path))
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def site():
    if not (PROJECT.build / "complete").exists():
        pytest.fail("there is no whole site; build it with: make book")
    handler = functools.partial(_Host, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    SHOTS.mkdir(parents=True, exist_ok=True)
    options = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pdf.chromium(), args=options)
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everyone(visit, name, scheme):
    page = visit(name, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.wait_for_timeout(700)  # what opens fades in, and has little contrast on the way
    rules = {"runOnly": {"type": "tag", "values": WCAG}, "preload": False}
    found = Axe().run(page, options=rules).response["violations"]
    report = [f"{v['id']}: {n['html'][:120]}" for v in found for n in v["nodes"]]
    assert not report, "\n".join(report)


_WEIGHTS = """() => {
  const all = [performance.getEntriesByType("navigation")[0],
               ...performance.getEntriesByType("resource")];
  const bytes = (some) => some.reduce((sum, each) => sum + each.encodedBodySize, 0);
  const images = all.filter((each) => each.initiatorType === "img");
  return {total: bytes(all), without: bytes(all) - bytes(images),
          interactive: Math.round(all[0].domInteractive), loaded: Math.round(all[0].loadEventEnd)};
}"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(visit, name):
    weights = visit(name).evaluate(_WEIGHTS)
    line = f"{name},{weights['without']},{weights['total']},{weights['interactive']},"
    (SHOTS / f"{name.replace('/', '-')}.csv").write_text(f"{line}{weights['loaded']}\n")
    assert 0 < weights["without"] <= HEAVIEST


@CHAPTERS
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
        for kind in IMAGES
    )
    assert page.locator("main figure img[alt]").count() == figures > 0
    assert page.locator("main figure figcaption").count() == figures


@CHAPTERS
def test_the_claims_at_the_top_are_those_of_the_verdict(visit, chapter):
    page = visit(chapter.docname)
    claims = freshness.claims_bundle(pairing.read(chapter.notebook))["claims"]
    rows = page.locator(".paper-card table.claims tbody tr")
    assert rows.count() == len(claims)
    page.locator(".paper-card summary").first.click()
    texts = rows.all_inner_texts()
    links = page.locator(".paper-card table.claims tbody th a").all_inner_texts()
    assert links == [claim["id"] for claim in claims]
    for text, claim in zip(texts, claims, strict=True):
        assert claim["verdict"] in text
        assert page.locator(f"[id='{claim['id']}']").count() == 1
        assert page.locator(f"[id='{claim['id'].partition('.')[0]}']").count() == 1


@CHAPTERS
def test_a_chapter_can_be_downloaded_in_three_forms(visit, chapter, tmp_path):
    page = visit(chapter.docname)
    for ending, source in (("md", chapter.markdown), ("py", chapter.script), ("ipynb", None)):
        with page.expect_download() as pending:
            page.locator(f".chapter-downloads a[href$='.{ending}']").click()
        file = tmp_path / pending.value.suggested_filename
        pending.value.save_as(file)
        assert file.name == f"{chapter.slug}.{ending}"
        if source is not None:
            assert file.read_bytes() == source.read_bytes()
    notebook = nbformat.read(file, as_version=4)
    assert freshness.claims_bundle(notebook) is not None


@CHAPTERS
def test_a_chapter_says_how_to_cite_it(visit, chapter):
    page = visit(chapter.docname)
    entry = page.locator(".paper-card .highlight-bibtex").text_content()
    assert f"gaussbook_{chapter.slug}" in entry


def test_long_cells_fold_and_cells_can_be_copied(visit):
    page = visit(PROJECT.chapters[0].docname)
    cell = page.locator("details.long-cell").first
    assert cell.locator("pre").is_visible()
    cell.locator("summary").click()
    assert not cell.locator("pre").is_visible()
    assert page.locator("button.copybtn").count() >= page.locator("div.cell_input").count()


def test_the_next_and_previous_pages_lead_through_a_part(visit):
    part = [c for c in PROJECT.chapters if c.part == "mixtures"]
    page = visit(part[0].docname)
    assert page.locator("a.left-prev").get_attribute("href") == "index.html"
    page.locator("a.right-next").click()
    page.wait_for_load_state()
    assert page.url.rsplit("/", 2)[-2] == "mixtures"


def _documents():
    """Return all built pages as parsed HTML."""
    files = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in files}


def test_every_internal_link_and_anchor_resolves():
    documents = _documents()
    anchors = {p: {tag["id"] for tag in d.find_all(id=True)} for p, d in documents.items()}
    broken = []
    for path, document in documents.items():
        links = [(tag, tag["href"]) for tag in document.find_all(["a", "link"], href=True)]
        links += [(tag, tag["src"]) for tag in document.find_all(["img", "script"], src=True)]
        for _tag, link in links:
            if "://" in link or link.startswith(("mailto:", "data:")):
                continue
            address, _, anchor = link.partition("#")
            target = (path.parent / address.partition("?")[0]).resolve() if address else path
            if not target.exists():
                broken.append(f"{path.relative_to(SITE)}: {link}")
            elif anchor and target in anchors and anchor not in anchors[target]:
                broken.append(f"{path.relative_to(SITE)}: no anchor {link}")
    assert len(documents) >= len(PAGES)
    assert not broken, "\n".join(sorted(set(broken)))


def test_pages_describe_themselves_to_other_sites():
    for path, document in _documents().items():
        if path.parent != SITE:  # there: the indices that Sphinx makes, and the search
            facts = {tag["property"]: tag["content"] for tag in document.find_all(property=True)}
            assert facts["og:title"].strip(), path
            assert facts["og:description"].strip(), path


def test_the_landing_page_shows_the_parts_and_when_it_ran(visit):
    page = visit("book/index")
    assert page.locator("main .sd-card").count() == len(PARTS) + 1
    with_chapters = {chapter.part for chapter in PROJECT.chapters}
    assert page.locator("main .sd-card img[alt]").count() == len(with_chapters)
    dates = [pairing.read(c.notebook).metadata[pairing.STAMP]["date"] for c in PROJECT.chapters]
    assert f"last run {max(dates)}" in page.locator("main").inner_text()


def test_the_methods_and_the_bibliography_lead_to_the_chapters(visit):
    methods = visit("book/methods").locator("main dd a")
    targets = {link.get_attribute("href").rpartition("/")[2] for link in methods.all()}
    assert targets == {f"{chapter.slug}.html" for chapter in PROJECT.chapters}
    works = visit("book/bibliography").locator("main .cited-in a")
    cited = {link.get_attribute("href").rpartition("/")[2] for link in works.all()}
    assert cited >= {f"{chapter.slug}.html" for chapter in PROJECT.chapters}


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
    page.get_by_label("Ran on").select_option("CPU")
    ran = [row for row in rows if row["verdict"] == "holds" and row["backend"] == "numpy"]
    assert len(_column(page, 1)) == len(ran)
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
