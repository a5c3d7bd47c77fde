"""Where things are: the chapters, their three files, and the papers of the bibliography."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

_SHORT = 90  # characters of a sentence that is too short to stand alone


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

    @cached_property
    def paragraphs(self) -> list[str]:
        """The page's blocks of text, title and directives among them, without its header."""
        text = self.markdown.read_text(encoding="utf-8", errors="replace")
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
        return [" ".join(block.split()) for block in text.split("\n\n") if block.strip()]

    @property
    def title(self) -> str:
        """The page's title; its name while it has none."""
        titles = [block for block in self.paragraphs if block.startswith("# ")]
        return titles[0].removeprefix("# ").strip() if titles else self.slug

    @property
    def opening(self) -> str:
        """Its first sentence, and the second if that is short: what a reader is told on a card."""
        texts = [b for b in self.paragraphs if b[0].isalnum() or b[0] in '*_“"$']
        if not texts:
            return ""
        first, *others = re.split(r"(?<=[.?!])\s+(?=[^a-z])", texts[0])
        longer = len(first) < _SHORT and others and "{" not in others[0]
        return f"{first} {others[0]}" if longer else first


@dataclass(frozen=True)
class Paper:
    """One paper of the book, as `book/references.bib` has it."""

    slug: str
    part: str
    title: str
    authors: tuple[str, ...]
    year: str
    venue: str
    arxiv: str | None
    address: str | None  # of the paper, where it has no arXiv number
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

    @cached_property
    def chapters(self) -> list[Chapter]:
        """All chapters, by part in reading order and by name.

        Raises
        ------
        BookError
            If two have one name, or if a page that is no chapter holds code to execute.
        """
        found, elsewhere = [], []
        for path in sorted(self.root.glob("book/**/*.md")):
            if cells(path):
                chapter = Chapter(part=path.parent.name, slug=path.stem, markdown=path)
                at_home = path.parent.parent == self.root / "book" and chapter.slug != "index"
                (found if at_home else elsewhere).append(chapter)
        if elsewhere:
            names = ", ".join(str(c.markdown.relative_to(self.root)) for c in elsewhere)
            raise BookError(
                f"{names}: code to execute outside a chapter; chapters are book/<part>/<slug>.md"
            )
        slugs = [chapter.slug for chapter in found]
        twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
        if twice:
            raise BookError(f"two chapters are called {twice[0]}; a slug names one chapter")
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
        """All papers of the book by slug, in the bibliography's order.

        Raises
        ------
        BookError
            If the bibliography cannot be read, or the entry of a paper lacks what the book needs.
        """
        from pybtex.database import parse_file
        from pybtex.exceptions import PybtexError

        path = self.root / "book" / "references.bib"
        try:
            entries = parse_file(str(path)).entries.items()
        except (PybtexError, OSError, UnicodeDecodeError) as error:
            where = f" ({error.get_context()})" if hasattr(error, "get_context") else ""
            text = " ".join(f"{error}{where}".split())
            raise BookError(f"book/references.bib cannot be read: {text}") from error
        return {slug: _paper(slug, entry) for slug, entry in entries if "part" in entry.fields}


_LITERAL = ("{code-block}", "{code}", "{sourcecode}", "{literalinclude}", "{raw}", "{math}")


def cells(page: Path) -> int:
    """Return how many cells of code a Markdown page holds, wherever they stand in it."""
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # whoever needs the page says what is wrong with it
        text = page.read_bytes().decode(errors="replace")
    return sum(1 for _ in _fences(text)) if "code-cell" in text else 0


def _fences(text: str) -> Iterator[None]:
    """Yield once for each cell, as Sphinx's own parser finds them, inside other directives too."""
    from markdown_it.renderer import RendererHTML
    from myst_parser.config.main import MdParserConfig
    from myst_parser.parsers.mdit import create_md_parser

    config = MdParserConfig(enable_extensions={"colon_fence"}, disable_syntax=["inline"])
    pending = [text]
    while pending:
        for token in create_md_parser(config, RendererHTML).parse(pending.pop() + "\n"):
            name = token.info.split()[0] if token.info.split() else ""
            if token.type not in ("fence", "colon_fence") or not name.startswith("{"):
                continue
            if name.startswith("{code-cell}"):
                yield
            elif not name.startswith(_LITERAL):
                pending.append(token.content)


def _paper(slug: str, entry) -> Paper:
    from pybtex.richtext import Text

    def plain(text: str) -> str:
        return str(Text.from_latex(text)).replace("--", "–").strip()

    fields = entry.fields
    missing = [name for name in ("title", "year") if name not in fields]
    missing += [] if entry.persons.get("author") else ["author"]
    if missing:
        raise BookError(f"book/references.bib: {slug} has no {' and no '.join(missing)}")
    if fields["part"] not in PARTS:
        raise BookError(
            f"book/references.bib: {slug} is of the part {fields['part']!r}; the parts are "
            f"{', '.join(PARTS)}"
        )
    venue = fields.get("booktitle") or fields.get("journal") or fields.get("school")
    volume = f" {fields['volume']}" if "volume" in fields else ""
    arxiv = fields.get("eprint")
    doi = f"https://doi.org/{fields['doi']}" if "doi" in fields else None
    return Paper(
        slug=slug,
        part=fields["part"],
        title=plain(fields["title"]),
        authors=tuple(plain(_full_name(person)) for person in entry.persons["author"]),
        year=fields["year"],
        venue=f"{plain(venue)}{volume}" if venue else "arXiv preprint" if arxiv else "preprint",
        arxiv=arxiv,
        address=None if arxiv else doi or fields.get("url"),
        code=fields.get("code"),
        methods=tuple(filter(None, map(str.strip, fields.get("methods", "").split(";")))),
    )


def _full_name(person) -> str:
    names = person.first_names + person.middle_names + person.prelast_names + person.last_names
    return " ".join(names)
