"""The book's own house rules: pairs, contents, bibliography, the shape of a chapter."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bookbuild import pairing
from bookbuild.project import PARTS, Project
from bookbuild.skeleton import SECTIONS

PROJECT = Project(Path(__file__).parents[1])
CHAPTERS = pytest.mark.parametrize("chapter", PROJECT.chapters, ids=lambda c: c.slug)


def _files(node):
    """Yield all files of the table of contents, in order."""
    if isinstance(node, list):
        for item in node:
            yield from _files(item)
    elif isinstance(node, dict):
        if "file" in node:
            yield node["file"]
        for key in ("parts", "chapters", "sections"):
            yield from _files(node.get(key, []))


CONTENTS = yaml.safe_load((PROJECT.root / "_toc.yml").read_text())


@CHAPTERS
def test_markdown_and_script_agree(chapter):
    problem = pairing.disagreement(chapter)
    assert problem is None, problem


@CHAPTERS
def test_the_chapter_is_in_the_contents_under_its_part(chapter):
    parts = [item for part in CONTENTS["parts"] for item in part["chapters"]]
    (part,) = (item for item in parts if item["file"] == f"book/{chapter.part}/index")
    listed = list(_files(part.get("sections", [])))
    assert chapter.docname in listed, f"add '- file: {chapter.docname}' to _toc.yml"


def test_all_that_the_contents_name_exists():
    for file in [CONTENTS["root"], *_files(CONTENTS["parts"])]:
        assert (PROJECT.root / f"{file}.md").exists(), file


def test_every_part_has_a_page():
    for part in PARTS:
        text = (PROJECT.root / "book" / part / "index.md").read_text()
        assert text.startswith(f"# {PARTS[part]}\n") and f"{{part-papers}} {part}" in text


def test_the_bibliography_has_all_papers():
    papers = PROJECT.papers
    assert {paper.part for paper in papers.values()} == set(PARTS)
    for paper in papers.values():
        assert re.fullmatch(r"\d{4}", paper.year)
        assert paper.arxiv is None or re.fullmatch(r"\d{4}\.\d{4,5}", paper.arxiv)
        assert "{" not in paper.title and "\\" not in " ".join(paper.authors)
    numbers = [paper.arxiv for paper in papers.values() if paper.arxiv]
    assert len(set(numbers)) == len(numbers)


@CHAPTERS
def test_the_chapter_has_the_books_shape(chapter):
    text = chapter.markdown.read_text()
    assert chapter.slug in PROJECT.papers and PROJECT.papers[chapter.slug].part == chapter.part
    assert text.count("```{paper-card}\n```") == 1
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"^# ", outside, re.MULTILINE)) == 1
    assert re.findall(r"^## (.+)$", outside, re.MULTILINE) == list(SECTIONS)


@CHAPTERS
def test_cells_are_short_and_free_of_plumbing(chapter):
    notebook = pairing.read(chapter.markdown)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    for source in sources:
        lines = [line for line in source.splitlines() if line.strip()]
        assert len(lines) <= 25, f"a cell of {len(lines)} lines: {lines[0]}"
    code = "\n".join(sources)
    for plumbing in ("sys.path", "os.environ", "plt.", "rcParams", "warnings.", "import cupy"):
        assert plumbing not in code, plumbing
    assert sources[-1].strip().endswith("claims.report()")
    assert f'Claims("{chapter.slug}")' in sources[0]


def test_notebooks_are_not_committed():
    listing = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT.root, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    assert not [name for name in listing.stdout.splitlines() if name.endswith(".ipynb")]


def test_the_project_speaks_of_itself_alone():
    """No path of a builder's machine and no registry host in any committed file."""
    listing = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT.root, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    forbidden = re.compile(r"/(work|root|home)/\w|file://|" + "pypi" + r"\.org|--index-url")
    for name in listing.stdout.splitlines():
        path = PROJECT.root / name
        if path.is_file() and path.suffix not in (".png", ".webp"):
            found = forbidden.search(path.read_text(encoding="utf-8"))
            assert found is None or name.endswith("test_contents.py"), f"{name}: {found.group()}"


def test_the_reference_has_every_public_module():
    """A module is public when it says what it offers; a package may offer its modules' names."""
    pages = "".join(path.read_text() for path in PROJECT.root.glob("book/api/*.md"))
    shown = set(re.findall(r"automodule:: (\S+)", pages))
    library = PROJECT.root / "lib"
    missing = []
    for path in sorted((library / "gaussbook").rglob("*.py")):
        if "__all__ = [" not in path.read_text(encoding="utf-8"):
            continue
        parts = path.relative_to(library).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        package = ".".join(parts[:2])
        if name not in shown and package not in shown:
            missing.append(name)
    assert not missing, f"add automodule directives to book/api for {missing}"


@CHAPTERS
def test_the_bibliography_names_the_methods_of_a_chapter(chapter):
    assert PROJECT.papers[chapter.slug].methods, f"add methods = {{...}} to {chapter.slug}"
