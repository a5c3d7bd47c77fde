"""The reader's own run: JupyterLab keeps the three forms of a chapter together."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import jupytext
import pytest
from playwright.sync_api import expect, sync_playwright

from bookbuild import pairing, pdf

from .. import PATIENCE

FORMS = ("md", "py", "ipynb")
OURS = ("-m", "bookbuild", "lab")
PLAIN = ("-m", "jupyter", "lab", "book")


class Lab:
    """A running server."""

    def __init__(self, mini, command):
        runtime = mini.root / "runtime"
        command = [sys.executable, *command, "--no-browser", "--allow-root", "--port=0"]
        self.process = subprocess.Popen(
            [*command, "--IdentityProvider.token=test"],
            cwd=mini.root,
            env={**mini.environment(), "JUPYTER_RUNTIME_DIR": str(runtime)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.url = self._address(runtime)

    def _address(self, runtime):
        """Wait for the server to answer; it writes down which free port it took."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, "the server has ended"
            try:
                (file,) = runtime.glob("jpserver-*.json")
                self.url = json.loads(file.read_text())["url"]
                self.call("GET", "api/contents/")
                return self.url
            except (OSError, ValueError):
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def call(self, method, path, model=None):
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(model).encode() if model else None,
            headers={"Authorization": "token test"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def read(self, name):
        path = f"api/contents/mixtures/{name}?type=notebook&content=1"
        return self.call("GET", path)["content"]

    def save(self, name, notebook):
        model = {"type": "notebook", "content": notebook}
        return self.call("PUT", f"api/contents/mixtures/{name}", model)


@pytest.fixture
def lab(mini):
    """Return a function that starts a server; `make lab` starts it by OURS."""
    servers = []

    def start(command=OURS, book=mini):
        servers.append(Lab(book, command))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()  # asked politely, a server may wait for a kernel that just starts
        server.process.wait()


def _sources(notebook):
    return [cell["source"].strip() for cell in notebook["cells"]]


def _all_forms(mini, slug):
    paths = [mini.chapter(slug).with_suffix(f".{form}") for form in FORMS]
    return {path: path.read_bytes() for path in paths}


def test_an_edit_in_the_notebook_reaches_markdown_and_survives_a_build(mini, lab):
    server = lab()
    notebook = server.read("one.ipynb")
    for remark in ("A reader's own remark.", "A second remark, saved after it."):
        notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": remark})
        server.save("one.ipynb", notebook)
        for path, data in _all_forms(mini, "one").items():
            assert remark.encode() in data, path
    before = _all_forms(mini, "one")
    assert mini.build().returncode == 0
    after = _all_forms(mini, "one")
    for form in ("md", "py"):
        path = mini.chapter("one").with_suffix(f".{form}")
        assert after[path] == before[path]
    assert _sources(server.read("one.ipynb"))[-1] == "A second remark, saved after it."


@pytest.mark.parametrize("command", [OURS, PLAIN], ids=["ours", "plain"])
def test_every_form_opens_after_an_execution(built, lab, command):
    server = lab(command, built)
    expected = _sources(jupytext.read(built.chapter("two")))
    for form in FORMS:
        opened = server.read(f"two.{form}")
        assert _sources(opened) == expected
        assert any(cell.get("outputs") for cell in opened["cells"])
    assert built.executions() == []
    assert built.build().returncode == 0
    assert built.executions() == []


def test_an_edit_outside_is_there_when_a_form_is_opened(mini, lab):
    server = lab()
    text = mini.chapter("one").read_text()
    mini.chapter("one").write_text(text.replace("Some prose", "Other prose"))
    for form in FORMS:
        assert "Other prose" in "".join(_sources(server.read(f"one.{form}")))
    stale = server.read("one.ipynb")
    mini.chapter("one").write_text(text.replace("Some prose", "Third prose"))
    stale["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "Mine."})
    before = _all_forms(mini, "one")
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.save("one.ipynb", stale)
    assert "edited differently" in json.load(refused.value)["message"]
    assert _all_forms(mini, "one") == before


def test_a_cell_that_a_form_cannot_hold_is_refused_on_saving(mini, lab):
    server = lab()
    notebook = server.read("one.ipynb")
    notebook["cells"][-1]["source"] = "a = 1\n# %% part two\nc = 3"
    before = _all_forms(mini, "one")
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.save("one.ipynb", notebook)
    message = json.load(refused.value)["message"]
    assert f"cell {len(notebook['cells'])} (code), line 2" in message
    assert _all_forms(mini, "one") == before


@pytest.mark.parametrize("command", [OURS, PLAIN], ids=["ours", "plain"])
def test_another_kernels_name_does_not_enter_the_book(mini, lab, command):
    assert mini.build("pair").returncode == 0
    server = lab(command)
    notebook = server.read("one.ipynb")
    kernel = {"display_name": "My venv", "language": "python", "name": "my-venv"}
    notebook["metadata"]["kernelspec"] = kernel
    server.save("one.ipynb", notebook)
    if command is PLAIN:
        assert mini.build("pair").returncode == 0
    for path in _all_forms(mini, "one"):
        assert pairing.read(path).metadata["kernelspec"] == pairing.KERNEL, path


def test_markdown_opens_as_a_notebook_by_double_click(mini, lab):
    server = lab()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=pdf.chromium(),
            args=["--no-sandbox", "--disable-gpu"],
            timeout=1000 * PATIENCE,
        )
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{server.url}lab/tree/mixtures?token=test")
        page.locator(".jp-DirListing-item", has_text="one.md").dblclick()
        cells = page.locator(".jp-NotebookPanel .jp-Notebook-cell")
        expect(cells.first).to_contain_text("Paper one", timeout=1000 * PATIENCE)
        browser.close()


def test_the_readers_own_settings_stay(mini):
    """The book's folder of settings comes before those that the reader has named."""
    code = (
        "import os, sys; os.execv = lambda *_: print(os.environ['JUPYTER_CONFIG_PATH'])\n"
        "from bookbuild import lab, project\n"
        "lab.start(project.Project.find(project.Path(sys.argv[1])), [])"
    )
    environment = {**mini.environment(), "JUPYTER_CONFIG_PATH": "/mine"}
    command = [sys.executable, "-c", code, str(mini.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *_, ours, own = done.stdout.strip().split(os.pathsep)
    assert ours.endswith("bookbuild/lab") and own == "/mine"
