"""Where things are: the chapters, their three files, and the papers of the bibliography."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PARTS = {
    "mixtures": "Mixtures",
    "learning": "Learning on mixtures",
    "experts": "Mixtures of experts",
    "processes": "Gaussian processes",
    "inference": "Bayesian inference",
    "splatting": "Gaussian splatting",
    "generative": "Generative models and transport",
}
"""The book's parts in reading order: folder and title."""


class BookError(Exception):
    """Something the user can mend; the message says what and how."""


@dataclass(frozen=True)
class Chapter:
    """One chapter: ``book/<part>/<slug>`` as Markdown, script and generated notebook."""

    part: str
    slug: str
    markdown: Path

    @property
    def script(self) -> Path:
        """The paired percent script."""
        return self.markdown.with_suffix(".py")

    @property
    def notebook(self) -> Path:
        """The generated, git-ignored notebook beside them."""
        return self.markdown.with_suffix(".ipynb")

    @property
    def docname(self) -> str:
        """Sphinx's name of the page."""
        return f"book/{self.part}/{self.slug}"


@dataclass(frozen=True)
class Paper:
    """One paper of the book, as `book/references.bib` has it."""

    slug: str
    part: str
    title: str
    authors: tuple[str, ...]
    year: str
    venue: str
    arxiv: str
    code: str | None
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """A book on disk.

    Parameters
    ----------
    root : Path
        The folder of ``_config.yml`` and ``_toc.yml``.
    """

    root: Path

    @classmethod
    def find(cls, start: Path) -> Project:
        """Return the project that contains the folder `start`."""
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / "_toc.yml").exists() and (folder / "book").is_dir():
                return cls(folder)
        raise BookError(f"{start} is not inside a book: no folder with _toc.yml and book/ above it")

    @property
    def build(self) -> Path:
        """The folder of everything generated but the notebooks."""
        return self.root / "_build"

    @property
    def chapters(self) -> list[Chapter]:
        """All chapters, by part in reading order and by name."""
        found = [
            Chapter(part=path.parent.name, slug=path.stem, markdown=path)
            for path in sorted(self.root.glob("book/*/*.md"))
            if re.search(r"^```\{code-cell\}", path.read_text(encoding="utf-8"), re.MULTILINE)
        ]
        order = list(PARTS)
        return sorted(found, key=lambda c: order.index(c.part) if c.part in order else len(order))

    def chapter(self, slug: str) -> Chapter:
        """Return the chapter of that name.

        Raises
        ------
        BookError
            If there is none; the message lists the names.
        """
        for chapter in self.chapters:
            if chapter.slug == slug:
                return chapter
        names = ", ".join(c.slug for c in self.chapters)
        raise BookError(f"there is no chapter {slug!r}; the chapters are: {names}")

    @cached_property
    def papers(self) -> dict[str, Paper]:
        """All papers of the book by slug, in the bibliography's order."""
        from pybtex.database import parse_file

        path = self.root / "book" / "references.bib"
        entries = parse_file(str(path)).entries.items()
        return {slug: _paper(slug, entry) for slug, entry in entries if "part" in entry.fields}


def _paper(slug: str, entry) -> Paper:
    from pybtex.richtext import Text

    def plain(text: str) -> str:
        return str(Text.from_latex(text)).replace("--", "–").strip()

    fields = entry.fields
    venue = fields.get("booktitle") or fields.get("journal") or fields.get("school")
    volume = f" {fields['volume']}" if "volume" in fields else ""
    return Paper(
        slug=slug,
        part=fields["part"],
        title=plain(fields["title"]),
        authors=tuple(plain(_full_name(person)) for person in entry.persons["author"]),
        year=fields["year"],
        venue=f"{plain(venue)}{volume}" if venue else "arXiv preprint",
        arxiv=fields["eprint"],
        code=fields.get("code"),
        methods=tuple(filter(None, map(str.strip, fields.get("methods", "").split(";")))),
    )


def _full_name(person) -> str:
    names = person.first_names + person.middle_names + person.prelast_names + person.last_names
    return " ".join(names)
