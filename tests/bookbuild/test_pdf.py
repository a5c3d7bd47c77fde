"""The book on paper."""


def test_a_printed_book_has_all_chapters(built):
    printed = built.build("pdf")
    assert printed.returncode == 0, printed.stdout
    file = built.root / "_build" / "pdf" / "book.pdf"
    data = file.read_bytes()
    assert data.startswith(b"%PDF-")
    for title in ("Paper one", "Paper two", "Works"):  # the outline is in plain text
        assert title.encode("utf-16-be") in data or title.encode() in data


def test_without_a_site_it_says_what_to_do(mini):
    printed = mini.build("pdf")
    assert printed.returncode == 1
    assert "make book" in printed.stdout
