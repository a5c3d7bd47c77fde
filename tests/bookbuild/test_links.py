"""Names in code lead to the reference of the library, and only names that are sure."""

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from bookbuild.links import full_names, linked

MODULE, MIXTURE = "gaussbook.mixture", "gaussbook.mixture.GaussianMixture"
ADDRESSES = {
    MODULE: "api#module",
    MIXTURE: "api#mixture",
    f"{MIXTURE}.fit": "api#fit",
    f"{MODULE}.k_means": "api#k_means",
    "gaussbook.gp.covariances.Matern": "api#matern?a=1&b=2",
}


def links(*cells):
    """Return what is linked in the last cell of a page: address and text of each."""
    code = highlight(cells[-1], PythonLexer(), HtmlFormatter())
    parts = linked(code, full_names(list(cells)), ADDRESSES).split('<a class="code-link" href="')[
        1:
    ]
    texts = [part.split(">", 1)[1].split("</a>")[0] for part in parts]
    plain = ["".join(t.split(">")[-1] for t in text.split("<")) for text in texts]
    return list(zip((part.split('"')[0] for part in parts), plain, strict=True))


class TestLinks:
    def test_the_import_itself(self):
        found = links("from gaussbook.mixture import k_means")
        assert found == [("api#module", "gaussbook.mixture"), ("api#k_means", "k_means")]

    @pytest.mark.parametrize(
        ("cell", "text"),
        [
            ("import gaussbook.mixture as m", "m.k_means"),
            ("from gaussbook import mixture", "mixture.k_means"),
            ("import gaussbook.mixture", "gaussbook.mixture.k_means"),
            ("from gaussbook.mixture import k_means as km", "km"),
        ],
    )
    def test_a_later_cell(self, cell, text):
        assert ("api#k_means", text) in links(cell, f"y = {text}(x, 3)")

    def test_an_object_of_a_class(self):
        cell = "from gaussbook.mixture import GaussianMixture\nlaw = GaussianMixture(3)"
        assert links(cell, "law.fit(X)") == [("api#fit", "law.fit")]

    def test_an_object_that_a_function_returns(self):
        cells = ["from gaussbook.arrays import generator\nrng = generator(0)", "rng.spawn(2)"]
        assert full_names(cells)["rng"] == "gaussbook.arrays.Generator"

    def test_an_object_goes_by_its_public_name(self):
        cells = ["from gaussbook.experts import fit", "em = fit(x, y)", "em"]
        assert full_names(cells)["em"] == "gaussbook.experts.Fit"

    def test_an_address_is_escaped(self):
        found = links("from gaussbook.gp.covariances import Matern")
        assert found[-1] == ("api#matern?a=1&amp;b=2", "Matern")

    def test_the_code_stays_as_it_was(self):
        cell = "from gaussbook.mixture import k_means\ny = k_means(x, seed=0)  # <&>"
        code = highlight(cell, PythonLexer(), HtmlFormatter())
        page = linked(code, full_names([cell]), ADDRESSES)
        for part in page.split("<a ")[1:]:
            page = page.replace(f"<a {part.split('>')[0]}>", "")
        assert page.replace("</a>", "") == code


class TestNoLink:
    @pytest.mark.parametrize(
        "cell", ["f(k_means=3)", "other.k_means(x)", "f(x).k_means", "'k_means'"]
    )
    def test_the_same_word_elsewhere(self, cell):
        assert links("from gaussbook.mixture import k_means", cell) == []

    @pytest.mark.parametrize(
        "cell",
        [
            "k_means = 3",
            "def k_means(): ...",
            "class k_means: ...",
            "lambda k_means: 0",
            "from elsewhere import k_means",
            "for k_means in (1, 2): ...",
        ],
    )
    def test_a_name_of_two_meanings(self, cell):
        assert links("from gaussbook.mixture import k_means", cell, "k_means") == []

    def test_objects_of_two_classes(self):
        cell = "from gaussbook.mixture import GaussianMixture\nlaw = GaussianMixture(3)"
        assert links(cell, "law = other(3)", "law.fit(X)") == []

    @pytest.mark.parametrize(
        "call",
        [
            "made(3)",
            "f(x)(3)",
            "np.ones(3)",
            "gaussbook.nothing(3)",
            "gaussbook.no.thing.at.all(3)",
        ],
    )
    def test_a_call_that_says_nothing(self, call):
        assert not full_names([f"import gaussbook\nimport numpy as np\nlaw = {call}"]).get("law")

    def test_a_method_called_on_its_class(self):
        cells = ["from gaussbook.claims import Claims\nlaw = Claims.check(3)"]
        assert full_names(cells) == {"Claims": "gaussbook.claims.Claims"}

    def test_what_is_not_python(self):
        assert full_names(["%matplotlib inline", "from gaussbook.mixture import k_means"]) == {
            "k_means": "gaussbook.mixture.k_means"
        }
