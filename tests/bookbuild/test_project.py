"""Where things are."""

import pytest

from bookbuild.project import BookError, Project


def test_a_project_is_found_from_any_folder_inside(mini, tmp_path_factory):
    assert Project.find(mini.root / "book" / "mixtures").root == mini.root.resolve()
    with pytest.raises(BookError, match="is not inside a book"):
        Project.find(tmp_path_factory.mktemp("elsewhere"))


def test_chapters_are_pages_with_code(mini):
    (mini.root / "book/mixtures/index.md").write_text("# Mixtures\n")
    assert [c.docname for c in Project(mini.root).chapters] == [
        "book/mixtures/one",
        "book/mixtures/two",
    ]


def test_papers_are_read_from_the_bibliography(mini):
    (mini.root / "book/references.bib").write_text(
        '@inproceedings{one, author = {M{\\"u}ller, Jan and van der Berg, A. B.},\n'
        " title = {On {G}aussian {SDPs}}, booktitle = {Conference}, year = {2021},\n"
        " eprint = {2101.00001}, part = {mixtures}, code = {https://example.org/code}}\n"
        "@misc{other, author = {Doe, J.}, title = {No chapter}, year = {2000}}\n"
    )
    papers = Project(mini.root).papers
    assert list(papers) == ["one"]
    paper = papers["one"]
    assert paper.authors == ("Jan Müller", "A. B. van der Berg")
    assert (paper.title, paper.venue) == ("On Gaussian SDPs", "Conference")
    assert paper.code == "https://example.org/code"


def test_a_paper_needs_no_arxiv_number(mini):
    (mini.root / "book/references.bib").write_text(
        "@phdthesis{one, author = {Doe, J.}, title = {A thesis}, school = {A school},\n"
        " year = {2020}, part = {mixtures}, url = {https://example.org/thesis}}\n"
        "@article{two, author = {Doe, J.}, title = {An article}, journal = {A journal},\n"
        " year = {2020}, part = {mixtures}, doi = {10.1000/182}}\n"
        "@book{three, author = {Doe, J.}, title = {A book}, year = {2020}, part = {mixtures}}\n"
    )
    one, two, three = Project(mini.root).papers.values()
    assert (one.arxiv, one.address) == (None, "https://example.org/thesis")
    assert (two.arxiv, two.address) == (None, "https://doi.org/10.1000/182")
    assert (three.arxiv, three.address) == (None, None)
