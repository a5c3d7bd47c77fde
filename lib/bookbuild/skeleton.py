"""A new chapter: its header, its sections, its card and one claim that fails until it is written.

The facts come from the paper's entry in the bibliography; `SECTIONS` is the shape of every chapter.
"""

from __future__ import annotations

import re
from pathlib import Path

from bookbuild import pairing
from bookbuild.project import BookError, Chapter, Project

SECTIONS = (
    "What the paper claims",
    "The idea",
    "The method in code",
    "Experiments",
    "Verdict",
    "What was not tested",
    "At paper scale",
)

_TEXT = """\
---
jupytext:
  formats: {formats}
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

What {{cite}}`{slug}` is about, in words that a newcomer understands.

## What the paper claims

1. **A claim**, with the paper's own number. {{claims}}`C1`

What these numbers rest on: the paper's full text, the authors' code, the abstract only.

## The idea

The mathematics, with every symbol defined.

## The method in code

Each equation, and below it the cell that computes it.

```{{code-cell}} ipython3
from gaussbook.claims import Claims

claims = Claims("{slug}")
```

## Experiments

For each: what is run, a figure or a table, and what to see in it.

## Verdict

```{{code-cell}} ipython3
claims.check("C1", "nothing is measured yet", measured=0, at_least=1)
claims.report()
```

## What was not tested

What was not tested, and what does not hold.

## At paper scale

What changes.
"""


def new(project: Project, slug: str) -> Chapter:
    """Write the skeleton of a paper's chapter, in all its forms, and enter it in the contents.

    Parameters
    ----------
    project : Project
        The book.
    slug : str
        The key of the paper in ``book/references.bib``.

    Raises
    ------
    BookError
        If the bibliography has no such paper of the book, the contents do not name its part, or
        the chapter exists.
    """
    paper = project.papers.get(slug)
    if paper is None:
        raise BookError(
            f"book/references.bib has no entry {slug!r} with a part; add it there first, with "
            f"author, title, year, part and methods"
        )
    chapter = Chapter(paper.part, slug, project.root / "book" / paper.part / f"{slug}.md")
    for path in (chapter.markdown, chapter.script, chapter.notebook):
        if path.exists():
            raise BookError(f"{path} exists; nothing was written")
    contents = _with_entry(project.root / "_toc.yml", chapter)
    chapter.markdown.parent.mkdir(exist_ok=True)
    text = _TEXT.format(title=paper.title, slug=slug, formats=pairing.FORMATS)
    chapter.markdown.write_text(text, encoding="utf-8")
    pairing.pair(chapter)
    (project.root / "_toc.yml").write_text(contents, encoding="utf-8")
    return chapter


def _with_entry(path: Path, chapter: Chapter) -> str:
    """Return the text of the contents with the chapter after the others of its part."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pattern = re.compile(rf"( *)- file: book/{chapter.part}/(\w+)\s*")
    found = [(k, match) for k, line in enumerate(lines) if (match := pattern.fullmatch(line))]
    if not found:
        raise BookError(f"{path} names no page of the part {chapter.part!r}; add its index first")
    last, match = found[-1]
    indent = match[1]
    if match[2] == "index":  # the part's first chapter
        lines.insert(last + 1, f"{indent}  sections:")
        last, indent = last + 1, f"{indent}    "
    lines.insert(last + 1, f"{indent}- file: {chapter.docname}")
    return "\n".join(lines) + "\n"
