"""A book of two chapters and a library of three modules, built as the real one is."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bookbuild.project import Project

from .. import PATIENCE

ROOT = Path(__file__).parents[2]

CHAPTER = """\
---
jupytext:
  formats: ipynb,md:myst,py:percent
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {title}

```{{paper-card}}
```

Some prose about {title}. It claims a value {{claims}}`C1`.

```{{index}} toy {slug}
```

```{{code-cell}} ipython3
import os
from gaussbook.claims import Claims
from toy.{module} import value
with open(os.environ["EXECUTIONS"], "a") as log:
    log.write("{slug}\\n")
{extra}
```

## Verdict

```{{code-cell}} ipython3
claims = Claims("{slug}")
claims.check("C1", "the toy's value", measured=value(), at_most=10, unit="mm")
claims.report()
```
"""

BIB = """\
@misc{{{slug},
  author = {{Doe, Jane}}, title = {{Paper {slug}}}, year = {{2020}}, eprint = {{2001.00001}},
  part = {{mixtures}},
}}
"""


# A shell's background jobs ignore Ctrl-C, and so does what they start unless it is told otherwise.
HEEDS_CTRL_C = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class MiniBook:
    """A small project in a folder of its own, and the command that builds it."""

    def __init__(self, root: Path):
        self.root = root
        self.log = root / "executions"
        library = root / "lib" / "toy"
        library.mkdir(parents=True)
        (library / "__init__.py").write_text("")
        (library / "deep.py").write_text("NUMBER = 1\n")
        (library / "direct.py").write_text(
            "def value():\n    from .deep import NUMBER\n    return NUMBER\n"
        )
        (library / "other.py").write_text("def value():\n    return 2\n")
        part = root / "book" / "mixtures"
        part.mkdir(parents=True)
        self.write("one", "direct")
        self.write("two", "other")
        (root / "book" / "index.md").write_text(
            "# Mini\n\n```{totals}\n```\n\n```{scoreboard}\n```\n"
        )
        (root / "book" / "references.bib").write_text(
            BIB.format(slug="one") + BIB.format(slug="two") + BIB.format(slug="three")
        )
        (root / "book" / "bibliography.md").write_text("# Works\n\n```{bibliography}\n:all:\n```\n")
        (root / "_toc.yml").write_text(
            "format: jb-book\nroot: book/index\nchapters:\n  - file: book/mixtures/one\n"
            "  - file: book/mixtures/two\n  - file: book/bibliography\n"
        )
        shutil.copytree(ROOT / "book" / "images", root / "book" / "images")
        (root / "_config.yml").write_text((ROOT / "_config.yml").read_text())
        (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())

    def chapter(self, slug: str) -> Path:
        return self.root / "book" / "mixtures" / f"{slug}.md"

    def notebook(self, slug: str) -> Path:
        return self.chapter(slug).with_suffix(".ipynb")

    def page(self, slug: str) -> str:
        return (self.root / "_build/html/book/mixtures" / f"{slug}.html").read_text()

    def script(self, slug: str) -> Path:
        return self.chapter(slug).with_suffix(".py")

    def write(self, slug: str, module: str, extra: str = "") -> None:
        """Write a chapter's Markdown and let the next build make its script."""
        text = CHAPTER.format(title=f"Paper {slug}", slug=slug, module=module, extra=extra)
        self.chapter(slug).write_text(text)

    def edit(self, slug: str, old: str, new: str) -> None:
        """Change a chapter's Markdown."""
        text = self.chapter(slug).read_text()
        assert old in text
        self.chapter(slug).write_text(text.replace(old, new))

    def project(self) -> Project:
        return Project(self.root)

    def executions(self) -> list[str]:
        """Return the chapters that have run since the last call."""
        names = sorted(self.log.read_text().split()) if self.log.exists() else []
        self.log.write_text("")
        return names

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            **os.environ,
            "EXECUTIONS": str(self.log),
            "GAUSSBOOK_SCALE": "default",
            "GAUSSBOOK_BACKEND": "numpy",
            "GAUSSBOOK_REPOSITORY": "",
            **variables,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "bookbuild", "--root", str(self.root), *arguments]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", HEEDS_CTRL_C, *self.command(*(arguments or ("build",)))],
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def build(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*(arguments or ("build",))),
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )


@pytest.fixture(autouse=True)
def no_running_loop():
    """Hide the event loop that a browser of the tests of the site leaves running in this thread."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniBook:
    """A book that nobody has built yet."""
    return _with_settings(MiniBook(tmp_path), monkeypatch)


@pytest.fixture(scope="session")
def _snapshot(tmp_path_factory: pytest.TempPathFactory) -> tuple[MiniBook, Path]:
    """Build one book, once; keep a copy of it beside."""
    folder = tmp_path_factory.mktemp("shared")
    mini = MiniBook(folder / "book")
    result = mini.build()
    assert result.returncode == 0, result.stdout
    assert mini.executions() == ["one", "two"]
    return mini, shutil.copytree(mini.root, folder / "copy", symlinks=True)


@pytest.fixture
def built(_snapshot: tuple[MiniBook, Path], monkeypatch: pytest.MonkeyPatch) -> MiniBook:
    """A book as its first build left it, always at the same place."""
    mini, copy = _snapshot
    shutil.rmtree(mini.root)
    shutil.copytree(copy, mini.root, symlinks=True)
    return _with_settings(mini, monkeypatch)


def _with_settings(mini: MiniBook, monkeypatch: pytest.MonkeyPatch) -> MiniBook:
    """Let what the press does in this process find the environment of its commands."""
    for name in ("EXECUTIONS", "GAUSSBOOK_SCALE", "GAUSSBOOK_BACKEND"):
        monkeypatch.setenv(name, mini.environment()[name])
    return mini
