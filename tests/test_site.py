"""The built site in a real browser: desktop and phone, light and dark, nothing from outside.

What each page weighs and how soon it answers is written to ``_build/screenshots/*.csv`` and
printed when the tests end.
"""

import collections
import functools
import gc
import gzip
import http.server
import json
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import expect, sync_playwright

from bookbuild import freshness, pairing, pdf
from bookbuild.project import PARTS, Project
from bookbuild.render import IMAGES

from . import PATIENCE

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
        browser = playwright.chromium.launch(
            executable_path=pdf.chromium(), args=options, timeout=1000 * PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(site, chromium):
    """Open a page and wait until it stands still; return it with what went wrong on the way."""
    contexts = []

    def open_page(name, scheme="light", query=""):
        context = chromium.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.faults = _listen(page, site)
        page.goto(f"{site}/{name}.html{query}")
        _wait_until_still(page, scheme)
        return page

    yield open_page
    faults = [fault for context in contexts for fault in context.pages[0].faults]
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def _listen(page, site):
    """Return a list that fills with errors, failed requests and requests that leave the site."""
    faults = []
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("requestfailed", lambda request: faults.append(f"failed {request.url}"))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    inside = (site, "data:", "blob:")
    page.on(
        "request",
        lambda r: None if r.url.startswith(inside) else faults.append(f"outside {r.url}"),
    )
    return faults


def _wait_for(page, condition, arg=None):
    """Wait until a condition of the page holds, asked by the clock: frames may fail to come."""
    page.wait_for_function(condition, arg=arg, polling=20)


def _wait_until_still(page, scheme):
    """Wait for the theme's script, the fonts, the images and the equations; fail if one stays out.

    The theme's script sets the colours some time after the page has loaded.
    """
    _wait_for(page, "scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
    _wait_for(
        page,
        "[...document.images].every((image) => image.complete || image.loading === 'lazy')",
    )
    if page.locator(".math").count():
        _wait_for(page, "window.MathJax?.startup?.promise")
        page.evaluate("MathJax.startup.promise.then(() => true)")
    page.evaluate("document.fonts.ready.then(() => true)")


# The questions asked of every open page: each returns the faults that it finds.


def equations_are_drawn(page):
    formulas = page.locator(".math").count()
    drawn = page.locator(".math mjx-container").count()
    if drawn < formulas:
        yield f"{formulas - drawn} of {formulas} formulas are not drawn"
    for error in page.locator("mjx-merror").all_text_contents():
        yield f"a formula with an error: {error}"
    if page.evaluate(_OTHER_INK):  # axe does not look inside of formulas
        yield "a formula is not drawn in the colour of the text around it"


_OTHER_INK = """() => [...document.querySelectorAll("mjx-container, mjx-container mjx-math")].some(
  (each) => getComputedStyle(each).color !== getComputedStyle(each.parentElement).color)"""


def images_have_text_and_load(page):
    for source, alt, width in page.locator(
        "main img:not(.slider-frame:not(.is-shown))"
    ).evaluate_all("all => all.map((each) => [each.src, each.alt, each.naturalWidth])"):
        if not alt.strip():
            yield f"no alternative text: {source[-60:]}"
        if not width:
            yield f"not an image: {source[-60:]}"


def is_light(page):
    weights = page.evaluate(_WEIGHTS)
    name = _name(page)
    line = f"{name.replace('-', '/')},{weights['without']},{weights['total']},"
    line += f"{weights['interactive']},{weights['loaded']}\n"
    (SHOTS / f"{name}.csv").write_text(line)
    if not 0 < weights["without"] <= HEAVIEST:
        yield f"{weights['without']} bytes besides the figures, more than {HEAVIEST}"


_WEIGHTS = """() => {
  const all = [performance.getEntriesByType("navigation")[0],
               ...performance.getEntriesByType("resource")];
  const bytes = (some) => some.reduce((sum, each) => sum + each.encodedBodySize, 0);
  const images = all.filter((each) => each.initiatorType === "img");
  return {total: bytes(all), without: bytes(all) - bytes(images),
          interactive: Math.round(all[0].domInteractive), loaded: Math.round(all[0].loadEventEnd)};
}"""


def fits_every_window(page):
    for width in (390, 1920, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        _wait_for(page, "width => window.innerWidth === width", arg=width)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            yield f"{wide} pixels wide in a window of {width}"
        if width == 390:
            page.screenshot(path=SHOTS / f"{_name(page)}-{width}.png")


def sliders_obey_the_keyboard(page):
    for figure in page.locator("figure:has(.slider-control)").all():
        control, shown = figure.locator("input"), figure.locator("img.is-shown")
        control.focus()
        page.keyboard.press("Home")
        words, sources, last = set(), set(), int(control.get_attribute("max"))
        for _ in range(last + 1):
            if shown.count() != 1:
                yield f"{shown.count()} figures are shown at a time"
                break
            _wait_for(page, _IS_LOADED, arg=shown.element_handle())
            said = control.get_attribute("aria-valuetext")
            if not said or said != figure.locator("output").inner_text():
                yield f"a screen reader says {said!r}, which the figure does not show"
            if not shown.get_attribute("alt").strip():
                yield f"no alternative text: {said}"
            words.add(said)
            sources.add(shown.get_attribute("src"))
            page.keyboard.press("ArrowRight")
        if not len(words) == len(sources) == last + 1:
            yield f"{last + 1} places: {len(words)} texts, {len(sources)} figures"


_IS_LOADED = "image => image.complete && image.naturalWidth > 0"


def can_be_read_by_everyone(page):
    """All of axe's rules but that of contrast."""
    rules = {"color-contrast": {"enabled": False}}
    yield from _axe(page, {"runOnly": {"type": "tag", "values": WCAG}, "rules": rules})


def has_contrast(page):
    """The slowest of axe's rules, whose answer depends on the theme: of texts that look the same in
    the same surroundings, it is asked of two."""
    page.evaluate(_TWO_OF_EACH)
    yield from _axe(page, {"runOnly": {"type": "rule", "values": ["color-contrast"]}})


def _axe(page, options):
    """Run axe's rules on a page without its many nodes of one kind.

    Formulas, highlighted code and long tables are tens of thousands of nodes, at each of which axe
    looks.  The insides of formulas go (`equations_are_drawn` has asked for their colour); of the
    words of code one of each kind stays; of formulas, of cells and their links, of a function's
    parameters and of the rows of a table two of each kind.
    """
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.evaluate(_ANIMATIONS_END)  # what opens fades in, and has little contrast on the way
    page.evaluate(_THIN_OUT)
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(Axe().axe_script)
    options |= {"preload": False, "resultTypes": ["violations"]}
    for violation in page.evaluate("options => axe.run(options)", options)["violations"]:
        for node in violation["nodes"]:
            yield f"{violation['id']}: {node['html'][:120]}"


_THIN_OUT = """() => {
  document.querySelectorAll("mjx-container").forEach((each) => each.replaceChildren());
  for (const body of document.querySelectorAll("tbody")) {
    const kinds = new Map();
    for (const row of [...body.rows]) {
      const kind = [row.className, ...[...row.querySelectorAll("*")].map(
        (each) => each.tagName + each.className + (each.getAttribute("style") ?? ""))].join();
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (kinds.get(kind) > 2) row.remove();
    }
  }
  const seen = new Set();
  const again = [...document.querySelectorAll(".highlight pre span")].filter((word) => {
    const box = getComputedStyle(word.closest(".highlight"));
    const ink = getComputedStyle(word);
    const kind = [word.parentElement.tagName, word.className, ink.color, ink.backgroundColor,
                  ink.fontWeight, box.backgroundColor].join();
    const known = seen.has(kind);
    seen.add(kind);
    return known && !word.children.length && !word.closest("a");
  });
  again.forEach((word) => word.remove());
  for (const repeated of ["a.code-link", "span.math", "div.cell", ".sig-param", ".field-list li"]) {
    const kinds = new Map();
    for (const each of document.querySelectorAll(repeated)) {
      const parts = [each.parentElement, each, ...each.querySelectorAll("*")];
      const kind = parts.map((part) => [part.tagName, part.getAttribute("class"),
        part.getAttribute("style"), ...part.getAttributeNames()].join()).join();
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      const alone = each.parentElement.childNodes.length === 1;  // what holds it would be empty
      if (kinds.get(kind) > 2 && !alone) each.remove();
    }
  }
}"""


_TWO_OF_EACH = """() => {
  const looks = new Map([[document.documentElement, ""]]);
  const look = (each) => {
    if (!looks.has(each)) {
      const style = getComputedStyle(each);
      looks.set(each, look(each.parentElement) + [each.tagName, each.className,
        each.getAttribute("style"), style.color, style.opacity, style.backgroundColor,
        style.backgroundImage, style.fontSize, style.fontWeight].join());
    }
    return looks.get(each);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  const kinds = new Map();
  for (const [text, kind] of texts.filter((text) => text.data.trim())
                                  .map((text) => [text, look(text.parentElement)])) {
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (kinds.get(kind) > 2) text.remove();
  }
}"""


_ANIMATIONS_END = """() => document.getAnimations()
  .filter((each) => each.effect.getComputedTiming().iterations !== Infinity)
  .forEach((each) => each.finish())"""


def _name(page):
    return urlsplit(page.url).path.strip("/").removesuffix(".html").replace("/", "-")


QUESTIONS = (  # axe's come last, as they thin out the page
    (
        "light",
        (
            is_light,
            equations_are_drawn,
            images_have_text_and_load,
            fits_every_window,
            sliders_obey_the_keyboard,
        ),
    ),
    ("dark", (equations_are_drawn, can_be_read_by_everyone, has_contrast)),
    ("light", (has_contrast,)),
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_both_themes(visit, name):
    """Each page is opened and typeset once; the theme follows the reader's system at any time."""
    page, shown, faults = visit(name), "light", []
    for scheme, questions in QUESTIONS:
        if scheme != shown:
            page.emulate_media(color_scheme=scheme)
            _wait_until_still(page, scheme)
            shown = scheme
        if scheme == "dark":
            page.screenshot(path=SHOTS / f"{_name(page)}-dark.png")
        for ask in questions:
            faults += [f"{scheme}, {ask.__name__}: {fault}" for fault in ask(page)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_in_the_theme_of_the_system(visit, scheme):
    page = visit("book/scoreboard", scheme=scheme)
    assert list(has_contrast(page)) == []


GIF = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CODE = "<div class=highlight><pre>1 <span class=c>word</span> <span class=c>word</span>"
SEEN = "<p>words <a href='/'>a link</a> words</p>"
LINK = "<a href='/' style='color: #111; text-decoration: none'>a link</a>"
CELL = f"<div class=cell><img alt=text src='{GIF}'></div>"
SOUND = "<html lang=en><title>T</title><main><h1>T</h1><p>Text</p></main></html>"


@pytest.mark.parametrize(
    ("ask", "broken"),
    [
        (equations_are_drawn, "<p><span class=math>x</span></p>"),
        (equations_are_drawn, "<p><mjx-container><mjx-merror>no</mjx-merror></mjx-container></p>"),
        (equations_are_drawn, "<p><mjx-container style='color: #eee'>x</mjx-container></p>"),
        (images_have_text_and_load, "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"),
        (images_have_text_and_load, "<img alt='a text' src='data:image/png;base64,AAAA'>"),
        (fits_every_window, "<p style='width: 400px'>x</p>"),
        (fits_every_window, "<p style='width: 1500px'>x</p>"),
        (has_contrast, "<p style='color: #ddd; background: white'>pale</p>"),
        (has_contrast, "<p>1</p><p>2</p><p>3</p><p style='color: #ddd'>pale</p>"),
        (has_contrast, "<p>1</p><p>2</p><p>3</p><div style='background: #666'><p>dark</p></div>"),
        (has_contrast, f"{CODE}<span class=c style='color: #ddd'>word</span></pre></div>"),
        (can_be_read_by_everyone, f"<p>words {LINK} words</p>"),
        (can_be_read_by_everyone, f"{SEEN * 3}<p>words {LINK} words</p>"),
        (can_be_read_by_everyone, "<details><summary>x</summary><button></button></details>"),
        (can_be_read_by_everyone, CELL * 3 + CELL.replace("alt=text", "")),
        (has_contrast, f"{CELL * 3}<div class=cell style='background: #666'><p>dark</p></div>"),
        (can_be_read_by_everyone, "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"),
        (can_be_read_by_everyone, "<table><tr><th scope=nothing>x</th></tr></table><a href=/></a>"),
    ],
)
def test_each_question_finds_its_fault(chromium, ask, broken):
    page = chromium.new_page()
    page.set_content(SOUND)
    assert list(ask(page)) == []
    page.set_content(SOUND.replace("</main>", f"{broken}</main>"))
    _wait_for(page, "[...document.images].every((image) => image.complete)")
    assert list(ask(page))
    page.close()


SLIDER = f"<figure><img class=is-shown alt=text src='{GIF}#0'>"
SLIDER += """
<label class=slider-control>x <input type=range max=1 value=0 aria-valuetext=0
oninput="const figure = this.closest('figure'), image = figure.querySelector('img');
  image.src = image.src.replace(/#.*/, '#' + this.value);
  figure.querySelector('output').value = this.value;
  this.setAttribute('aria-valuetext', this.value);"><output>0</output></label></figure>"""


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("class=is-shown", ""),
        ("alt=text", "alt=''"),
        ("image.src = ", ""),
        ("').value = ", "').title = "),
        ("this.setAttribute('aria-valuetext', ", "("),
        ("max=1", "max=1 disabled"),
    ],
)
def test_a_slider_that_does_not_obey_is_found(chromium, part, broken):
    page = chromium.new_page()
    page.set_content(SOUND.replace("</main>", f"{SLIDER}</main>"))
    assert list(sliders_obey_the_keyboard(page)) == []
    assert part in SLIDER
    page.set_content(SOUND.replace("</main>", f"{SLIDER.replace(part, broken)}</main>"))
    assert list(sliders_obey_the_keyboard(page))
    page.close()


# What needs no browser is read from the pages.


@functools.cache
def _document(name):
    text = (SITE / f"{name}.html").read_text(encoding="utf-8")
    document = BeautifulSoup(text, "html.parser")
    gc.freeze()  # the pages stay to the end: walking them at each collection is half of the work
    return document


@functools.cache
def _anchors(name):
    """Return the elements of a page by their id."""
    anchors = collections.defaultdict(list)
    for tag in _document(name).find_all(id=True):
        anchors[tag["id"]].append(tag)
    return dict(anchors)


def _claims(chapter):
    return freshness.claims_bundle(pairing.read(chapter.notebook))["claims"]


@CHAPTERS
def test_a_chapter_shows_what_its_run_measured(chapter):
    notebook = pairing.read(chapter.notebook)
    assert freshness.is_current(notebook, PROJECT.root / "lib")
    page = _document(chapter.docname)
    for claim in _claims(chapter):
        (row,) = _anchors(chapter.docname)[claim["id"]]
        assert row.name == "tr" and claim["verdict"] in row.get_text()
    figures = sum(
        "alt" in output.get("metadata", {}).get(kind, {})
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in IMAGES
    )
    images = page.select("main figure img[alt]")
    hidden = [img for img in images if img.get("class") == ["slider-frame"]]
    assert len(images) - len(hidden) == figures > 0
    assert len(page.select("main figure figcaption")) == figures


@CHAPTERS
def test_the_claims_at_the_top_are_those_of_the_verdict(chapter):
    page = _document(chapter.docname)
    claims = _claims(chapter)
    rows = page.select(".paper-card table.claims tbody tr")
    links = [a.get_text() for a in page.select(".paper-card table.claims tbody th a")]
    assert links == [claim["id"] for claim in claims]
    for row, claim in zip(rows, claims, strict=True):
        assert claim["verdict"] in row.get_text()
        assert len(_anchors(chapter.docname)[claim["id"]]) == 1
        assert len(_anchors(chapter.docname)[claim["id"].partition(".")[0]]) == 1


@CHAPTERS
def test_a_chapter_can_be_downloaded_in_three_forms(chapter):
    page = _document(chapter.docname)
    links = page.select(".chapter-downloads a[download]")
    forms = ("ipynb", "py", "md")
    assert [link["href"] for link in links] == [f"{chapter.slug}.{form}" for form in forms]
    files = [SITE / f"{chapter.docname}.{form}" for form in forms]
    assert files[1].read_bytes() == chapter.script.read_bytes()
    assert files[2].read_bytes() == chapter.markdown.read_bytes()
    notebook = nbformat.read(files[0], as_version=4)
    assert freshness.claims_bundle(notebook)["claims"] == _claims(chapter)


@CHAPTERS
def test_the_first_screen_has_a_picture_the_verdict_and_what_it_costs(chapter):
    card = _document(chapter.docname).select_one(".paper-card")
    assert card.select_one("img.card-figure[alt]")
    words = " ".join(card.get_text().split())
    assert re.search(
        r"claims? holds?.* · \d+ minutes? to read · \d+ s to run at default scale", words
    )


@CHAPTERS
def test_a_chapter_says_how_to_cite_it(chapter):
    (entry,) = _document(chapter.docname).select(".paper-card .highlight-bibtex")
    assert f"gaussbook_{chapter.slug}" in entry.get_text()


def test_the_browser_saves_a_download_under_its_name(visit, tmp_path):
    chapter = PROJECT.chapters[0]
    page = visit(chapter.docname)
    with page.expect_download() as pending:
        page.locator(".chapter-downloads a[href$='.py']").click()
    assert pending.value.suggested_filename == f"{chapter.slug}.py"
    pending.value.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == chapter.script.read_bytes()


def test_long_cells_fold_and_cells_can_be_copied(visit):
    page = visit(PROJECT.chapters[0].docname)
    cell = page.locator("details.long-cell").first
    expect(cell.locator("pre")).to_be_visible(timeout=1000 * PATIENCE)
    cell.locator("summary").click()
    expect(cell.locator("pre")).to_be_hidden(timeout=1000 * PATIENCE)
    cells = page.locator("div.cell_input").count()
    _wait_for(
        page, "cells => document.querySelectorAll('button.copybtn').length >= cells", arg=cells
    )


def test_the_next_and_previous_pages_lead_through_a_part(visit):
    page = visit("book/mixtures/index")
    with page.expect_navigation():
        page.locator("a.right-next").click()
    assert page.locator("a.left-prev").get_attribute("href") == "index.html"
    with page.expect_navigation():
        page.locator("a.right-next").click()
    assert page.url.rsplit("/", 2)[-2] == "mixtures"


def _documents():
    """Return all built pages as parsed HTML."""
    files = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    return {p: _document(str(p.relative_to(SITE).with_suffix(""))) for p in files}


def test_every_internal_link_and_anchor_resolves():
    documents = _documents()
    anchors = {p: _anchors(str(p.relative_to(SITE).with_suffix(""))) for p in documents}
    broken = []
    for path, document in documents.items():
        links = [tag["href"] for tag in document.find_all(["a", "link"], href=True)]
        links += [tag["src"] for tag in document.find_all(["img", "script"], src=True)]
        for link in links:
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


def test_the_landing_page_shows_the_parts_and_when_it_ran():
    page = _document("book/index")
    assert len(page.select("main .sd-card")) == len(PARTS) + 1
    with_chapters = {chapter.part for chapter in PROJECT.chapters}
    assert len(page.select("main .sd-card img[alt]")) == len(with_chapters)
    dates = [pairing.read(c.notebook).metadata[pairing.STAMP]["date"] for c in PROJECT.chapters]
    assert f"last run {max(dates)}" in page.select_one("main").get_text()


def test_the_methods_and_the_bibliography_lead_to_the_chapters():
    def targets(name, selector):
        return {link["href"].rpartition("/")[2] for link in _document(name).select(selector)}

    chapters = {f"{chapter.slug}.html" for chapter in PROJECT.chapters}
    assert targets("book/methods", "main dd a") == chapters
    assert targets("book/bibliography", "main .cited-in a") >= chapters


def _shown_rows(page):
    """The rows that are left, each as the texts of its cells; those of closed groups too."""
    return page.locator(".scoreboard tbody tr:not([hidden])").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    )


def test_the_scoreboard_has_all_papers_and_filters(visit):
    page = visit("book/scoreboard")
    rows = json.loads((SITE / "book/scoreboard.json").read_text())
    assert {row["slug"] for row in rows} == set(PROJECT.papers)
    claims = [row for row in rows if "id" in row]
    assert len(_shown_rows(page)) == len(claims)
    groups = page.locator(".scoreboard details.paper-claims")
    assert groups.count() == len(PROJECT.chapters)
    assert page.locator(".scoreboard details[open]").count() == 0
    for name, chosen, key in (
        ("Verdict", "not reproduced", "verdict"), ("Kind", "our own check", "kind"),
    ):  # fmt: skip
        page.get_by_label(name).select_option(chosen)
        wanted = sum(row[key] in (chosen, "own") for row in claims)
        assert len(_shown_rows(page)) == wanted > 0
        assert page.locator(".scoreboard details[open]").count() > 0
        page.get_by_label(name).select_option("all")
    page.get_by_label("Part").select_option(PARTS["experts"])
    assert page.locator(".scoreboard details.paper-claims:not([hidden])").count() == sum(
        chapter.part == "experts" for chapter in PROJECT.chapters
    )
    page.get_by_label("Text").fill("no such words anywhere")
    assert _shown_rows(page) == []
    status = page.locator(".scoreboard-controls output").inner_text()
    assert status == f"0 of {len(claims)} rows, 0 papers"


def test_an_address_chooses_rows_of_the_scoreboard(visit):
    link = _document("book/index").select_one("main a[href*='verdict=']")["href"]
    name, _, query = link.partition("?")
    page = visit(f"book/{name.removesuffix('.html')}", query=f"?{query}")
    rows = _shown_rows(page)
    assert rows and all("not reproduced" in row[0] for row in rows)


def test_a_verdict_of_the_scoreboard_stands_first_on_one_line_and_leads_to_its_row(visit):
    page = visit("book/scoreboard", query="?verdict=not+reproduced")
    verdict = page.locator(".scoreboard tr:not([hidden]) .verdict").first
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        _wait_for(page, "width => window.innerWidth === width", arg=width)
        box = verdict.bounding_box()
        line = verdict.evaluate("each => parseFloat(getComputedStyle(each).lineHeight)")
        assert box["height"] < 1.5 * line and box["x"] + box["width"] < width
    link = page.locator(".scoreboard tr:not([hidden]) td:nth-child(2) a").first
    claim = link.inner_text()
    with page.expect_navigation():
        link.click()
    assert page.url.endswith(f"#{claim}")
    expect(page.locator(f"tr[id='{claim}']")).to_be_in_viewport(timeout=1000 * PATIENCE)


def test_the_scoreboard_stands_without_javascript(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/book/scoreboard.html", timeout=1000 * PATIENCE)
    rows = json.loads((SITE / "book/scoreboard.json").read_text())
    assert page.locator(".scoreboard tbody tr").count() == sum("id" in row for row in rows)
    page.locator(".scoreboard summary").first.click()
    expect(page.locator(".scoreboard tbody tr").first).to_be_visible(timeout=1000 * PATIENCE)
    context.close()


def test_every_page_names_licence_and_source_and_where_to_report_an_error():
    for name in PAGES:
        foot = _document(name).select_one("footer .colophon")
        links = {link.get_text(): link["href"] for link in foot.select("a")}
        assert {"BSD 3-Clause licence", "Run it yourself"} < set(links), name
        assert any(words.startswith("report an error") for words in links), name


@CHAPTERS
def test_a_part_shows_each_chapter_with_a_figure_and_its_verdict(chapter):
    gallery = _document(f"book/{chapter.part}/index")
    (card,) = [
        card
        for card in gallery.select("main .sd-card")
        if card.select_one("a")["href"] == f"{chapter.slug}.html"
    ]
    assert card.select_one("img[alt]") and chapter.title in card.get_text()
    assert "claims hold" in card.get_text() or "claim holds" in card.get_text()


_RAW = re.compile(r"\{[a-z][\w:-]*\}`[^`]|^[`:]{3,}\{|^\([\w-]+\)=|\$\$ *\([\w-]+\)", re.MULTILINE)


@CHAPTERS
def test_a_downloaded_notebook_has_no_words_that_only_the_press_understands(chapter):
    notebook = nbformat.read(SITE / f"{chapter.docname}.ipynb", as_version=4)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert [found for text in texts for found in _RAW.findall(text)] == []
    assert sum(r"\tag{" in text for text in texts) > 0 or "{eq}" not in chapter.markdown.read_text()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("EM algorithm", "Methods"),
        ("not reproduced", "Scoreboard"),
        ("calibration", "Temperature scaling"),
        ("Kalman", "A Kalman filter"),
        ("Slepian", "Persistency of Gaussian signals"),
    ],
)
def test_search_leads_to_the_page_that_a_reader_means(visit, query, first):
    page = visit("search", query=f"?q={query}")
    _wait_for(page, "document.querySelectorAll('#search-results li').length > 2")
    _wait_for(page, "!document.querySelector('#search-progress')?.textContent")
    titles = page.locator("#search-results li > a").all_inner_texts()
    assert any(title.startswith(first) for title in titles[:2]), titles[:3]
    functions = [k for k, title in enumerate(titles) if title.startswith("gaussbook.")]
    chapters = [k for k, title in enumerate(titles) if title.startswith(first)]
    assert not functions or min(functions) > chapters[0]


SLIDERS = [chapter for chapter in PROJECT.chapters if "slider(" in chapter.script.read_text()]


@pytest.mark.parametrize("chapter", SLIDERS, ids=lambda c: c.slug)
def test_a_slider_starts_with_one_figure_and_without_its_control(chapter):
    figures = _document(chapter.docname).select("figure:has(.slider-control)")
    assert figures
    for figure in figures:
        assert len(figure.select("img.slider-frame.is-shown")) == 1
        assert figure.select_one(".slider-control").has_attr("hidden")


def test_without_javascript_a_slider_is_one_figure(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/{SLIDERS[0].docname}.html", timeout=1000 * PATIENCE)
    figure = page.locator("figure:has(.slider-control)").first
    assert figure.locator("img:visible").count() == 1
    assert not figure.locator(".slider-control").is_visible()
    context.close()


def test_a_figure_can_be_enlarged_on_a_phone(visit):
    page = visit(PROJECT.chapters[0].docname)
    page.set_viewport_size({"width": 390, "height": 800})
    button = page.locator("figure button.enlarge").first
    button.click()
    dialog = page.locator("dialog.enlarged")
    expect(dialog).to_be_visible(timeout=1000 * PATIENCE)
    assert dialog.locator("img").bounding_box()["width"] > 700
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden(timeout=1000 * PATIENCE)


def test_no_page_has_an_address_that_is_not_absolute():
    for path, document in _documents().items():
        for tag in document.find_all(property="og:url"):
            assert tag["content"].startswith("http"), path
