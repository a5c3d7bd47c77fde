"""The reader's own run: JupyterLab keeps the three forms of a chapter together."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import jupytext
import pytest


@pytest.fixture
def lab(mini):
    """Start the server that `make lab` starts; return a function that calls its contents API."""
    assert mini.build("pair").returncode == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyter", "lab", "book", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--IdentityProvider.token=test"]
    process = subprocess.Popen(
        command, cwd=mini.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def call(method, path, model=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/contents/{path}",
            method=method,
            data=json.dumps(model).encode() if model else None,
            headers={"Authorization": "token test"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    for _ in range(120):
        try:
            call("GET", "")
            break
        except OSError:
            time.sleep(0.5)
    yield call
    process.terminate()
    process.wait(timeout=20)


def test_an_edit_in_the_notebook_reaches_markdown_and_survives_a_build(mini, lab):
    model = lab("GET", "mixtures/one.ipynb?type=notebook&content=1")
    notebook = model["content"]
    notebook["cells"].append(
        {"cell_type": "markdown", "metadata": {}, "source": "A reader's own remark."}
    )
    lab("PUT", "mixtures/one.ipynb", {"type": "notebook", "content": notebook})
    for form in (mini.chapter("one"), mini.chapter("one").with_suffix(".py")):
        assert "A reader's own remark." in form.read_text()
    assert mini.build().returncode == 0
    for form in (mini.chapter("one"), mini.chapter("one").with_suffix(".py")):
        assert "A reader's own remark." in form.read_text()
    assert "A reader's own remark." in mini.notebook("one").read_text()


def test_markdown_opens_as_a_notebook(mini, lab):
    model = lab("GET", "mixtures/two.md?type=notebook&content=1")
    sources = [cell["source"] for cell in model["content"]["cells"]]
    expected = [cell.source for cell in jupytext.read(mini.chapter("two")).cells]
    assert sources == expected
