"""The same book with an address: buttons, sitemap, preview pictures and installable notebooks."""

import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/someone/somewhere"
SITE = "https://someone.github.io/somewhere/"


@pytest.fixture
def hosted(built):
    path = built.root / "_config.yml"
    config = yaml.safe_load(path.read_text())
    config["repository"] = {"url": REPOSITORY, "branch": "main"}
    config["html"]["baseurl"] = SITE
    path.write_text(yaml.safe_dump(config))
    result = built.build()
    assert result.returncode == 0, result.stdout
    return built


def test_addresses_switch_on_what_needs_them(hosted):
    page = BeautifulSoup(hosted.page("one"), "html.parser")
    links = {a.get_text(strip=True): a["href"] for a in page.select(".dropdown-launch-buttons a")}
    assert links["Binder"] == (
        "https://mybinder.org/v2/gh/someone/somewhere/main?urlpath=lab/tree/book/mixtures/one.ipynb"
    )
    assert links["Colab"] == (
        "https://colab.research.google.com/github/someone/somewhere/blob/gh-pages/"
        "book/mixtures/one.ipynb"
    )
    facts = {tag["property"]: tag["content"] for tag in page.find_all(property=True)}
    assert facts["og:url"] == f"{SITE}book/mixtures/one.html"
    assert facts["og:image"].startswith(SITE)
    html = hosted.root / "_build" / "html"
    assert f"<loc>{SITE}book/mixtures/one.html</loc>" in (html / "sitemap.xml").read_text()
    notebook = nbformat.read(html / "book/mixtures/one.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source == f"%pip install --quiet git+{REPOSITORY}"


def test_the_workflow_gives_the_address(mini):
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text())
    address = workflow["jobs"]["build"]["env"]["GAUSSBOOK_REPOSITORY"]
    runner = {"github.server_url": "https://github.com", "github.repository": "someone/somewhere"}
    for name, value in runner.items():
        address = address.replace(f"${{{{ {name} }}}}", value)
    assert address == REPOSITORY
    built = mini.build(GAUSSBOOK_REPOSITORY=address)
    assert built.returncode == 0, built.stdout
    page = BeautifulSoup(mini.page("one"), "html.parser")
    links = {a["href"] for a in page.find_all("a", href=True)}
    assert f"{REPOSITORY}/edit/main/book/mixtures/one.md" in links
    assert any(link.startswith("https://mybinder.org/v2/gh/someone/somewhere/") for link in links)


def test_without_addresses_nothing_names_a_host(built):
    page = built.page("one")
    assert "mybinder" not in page
    assert "colab" not in page
    assert not (built.root / "_build/html/sitemap.xml").exists()
    notebook = nbformat.read(built.root / "_build/html/book/mixtures/one.ipynb", as_version=4)
    assert "pip install" not in notebook.cells[0].source


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another site, with one page."""

    def do_HEAD(self):
        self.send_response(200 if self.path == "/here" else 404)
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("page", "status"), [("here", 0), ("nowhere", 1)])
def test_a_link_that_leads_nowhere_is_found(mini, elsewhere, page, status):
    """The command of `make links`, which the weekly workflow runs."""
    index = mini.root / "book" / "index.md"
    index.write_text(f"# Mini\n\n[A link]({elsewhere}/{page}).\n")
    (mini.root / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    makefile = (ROOT / "Makefile").read_text()
    (command,) = re.findall(r"^links:.*\n\t\$\(BIN\)/(.*)$", makefile, re.MULTILINE)
    assert "make links" in (ROOT / ".github/workflows/weekly.yml").read_text()
    done = subprocess.run(
        [f"{sys.prefix}/bin/{command.split()[0]}", *command.split()[1:]],
        cwd=mini.root,
        env=mini.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == bool(status), done.stdout
    named = re.search(rf"broken\b.*{elsewhere}/{page}", done.stdout)
    assert bool(named) == bool(status), done.stdout
