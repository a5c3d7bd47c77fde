"""The scale is chosen by one variable."""

import pytest

from gaussbook.scale import current_scale, scale


@pytest.mark.parametrize(("value", "expected"), [(None, 1), ("default", 1), ("paper", 2)])
def test_scale_chooses(monkeypatch, value, expected):
    monkeypatch.delenv("GAUSSBOOK_SCALE", raising=False)
    if value:
        monkeypatch.setenv("GAUSSBOOK_SCALE", value)
    assert scale(default=1, paper=2) == expected
    assert current_scale() == (value or "default")


def test_an_unknown_scale_is_an_error_that_lists_the_choices(monkeypatch):
    monkeypatch.setenv("GAUSSBOOK_SCALE", "huge")
    with pytest.raises(ValueError, match=r"'huge'.*default, paper"):
        scale(default=1, paper=2)
