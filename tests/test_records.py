import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.records import digest, fingerprint, read_record, write_record

LEVEL = 3
OBJECT = object()

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


class TestRecord:
    @settings(max_examples=50, deadline=None)
    @given(NESTED)
    def test_plain_data_comes_back(self, tmp_path_factory, value):
        path = tmp_path_factory.mktemp("records") / "r"
        assert write_record(path, {}, value) == value
        assert read_record(path) == value
        assert type(read_record(path)) is type(value)

    @pytest.mark.parametrize(
        "array",
        [
            np.arange(6.0).reshape(2, 3).T,
            np.array([1, 2], dtype=np.int8),
            np.float32(1.5),
            np.array(2.5),
            np.zeros((0, 3)),
            np.array([1 + 2j]),
            np.array(["a", "bc"]),
            np.arange(3, dtype=">f8"),
        ],
    )
    def test_arrays_come_back(self, tmp_path, array):
        value = {"one": array, "two": (math.nan, [array, "x"])}
        write_record(tmp_path / "r", {"k": array}, value)
        back = read_record(tmp_path / "r")
        for result in (back["one"], back["two"][1][0]):
            assert type(result) is type(array)
            assert result.dtype == array.dtype
            np.testing.assert_array_equal(result, array)
        assert math.isnan(back["two"][0])
        assert [p.suffix for p in tmp_path.iterdir()] == [".npz"]

    @pytest.mark.parametrize(
        "value", [object(), {1: 2}, {"a": {3}}, np.array([object()]), print, range(3)]
    )
    def test_other_things_are_refused(self, tmp_path, value):
        with pytest.raises(ValueError):
            write_record(tmp_path / "r", {}, value)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("value", [1.5, np.arange(3.0)])
    def test_damage_is_seen(self, tmp_path, value):
        write_record(tmp_path / "r", {}, value)
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ValueError, match="is damaged"):
            read_record(tmp_path / "r")

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"{", b"[]", b"1", b'{"result": {"array": 0}}', b'{"result": {"a": 1, "b": 2}}',
            b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"\xff\xfe", b"null",
        ],
    )  # fmt: skip
    def test_any_damaged_text_is_a_value_error(self, tmp_path, content):
        (tmp_path / "r.json").write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            read_record(tmp_path / "r")

    def test_any_damaged_archive_is_a_value_error(self, tmp_path):
        write_record(tmp_path / "r", {}, np.arange(100.0))
        path = tmp_path / "r.npz"
        whole = path.read_bytes()
        rng = np.random.default_rng(0)
        compressed = path.with_name("c")
        np.savez_compressed(compressed, text=np.asarray("{}"), array_0=np.arange(100.0))
        huge = whole.replace(b"(100,), }" + b" " * 10, b"(1000000000000,), }")
        assert huge != whole and len(huge) == len(whole)
        damaged = [b"", b"PK", whole[:30], whole[:-1], whole[100:], huge]
        damaged += [compressed.with_suffix(".npz").read_bytes()]
        damaged += [whole.replace(b"<f8", b"|O8")]
        for _ in range(200):
            bytes_ = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                bytes_[place] = rng.integers(256)
            damaged.append(bytes(bytes_))
        for content in damaged:
            path.write_bytes(content)
            try:
                read_record(tmp_path / "r")
            except ValueError as error:
                assert "is damaged" in str(error)
            else:
                assert content not in damaged[:8]

    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_record(tmp_path / "r")


class TestDigest:
    def test_does_not_depend_on_order_of_keys_or_of_memory(self):
        a = np.arange(6.0).reshape(2, 3)
        assert digest("x", {"a": 1, "b": a}) == digest("x", {"b": np.asfortranarray(a), "a": 1})
        assert digest("x", a) == digest("x", a.astype(">f8"))

    def test_tells_values_apart(self):
        values = [
            1, 1.0, "1", True, None, [1], (1,), {"a": 1}, {"a": [1]}, np.float64(1.0), np.int64(1),
            np.array(1.0), np.array([1.0]), np.array([[1.0]]), np.array([1]), math.nan, math.inf,
        ]  # fmt: skip
        assert len({digest("x", value) for value in values}) == len(values)

    def test_other_things_are_refused(self):
        with pytest.raises(ValueError, match="^thing "):
            digest("thing", [object()])


def helper(x):
    return x + LEVEL


def uses_helper(x):
    return [helper(x) for _ in range(2)]


def uses_object(x):
    return [OBJECT for _ in range(x)]


def recursive(x):
    return x and recursive(x - 1)


@functools.cache
def cached(x):
    return x


def uses_library(x):
    return np.sin(x) + math.sqrt(x) + cached(x)


def scaled(by):
    def function(x):
        return by * x

    return function


class TestFingerprint:
    def identity(self, function):
        return digest("function", fingerprint(function))

    def test_is_the_same_twice(self):
        for function in (
            helper,
            uses_helper,
            recursive,
            uses_library,
            functools.partial(helper, 1),
        ):
            assert self.identity(function) == self.identity(function)

    def test_sees_the_values_that_a_function_uses(self, monkeypatch):
        before = [self.identity(f) for f in (helper, uses_helper)]
        monkeypatch.setitem(helper.__globals__, "LEVEL", 4)
        assert all(
            self.identity(f) != old for f, old in zip((helper, uses_helper), before, strict=True)
        )
        assert self.identity(scaled(2)) == self.identity(scaled(2))
        assert self.identity(scaled(2)) != self.identity(scaled(3))
        partials = [functools.partial(helper, k) for k in (1, 2)]
        assert self.identity(partials[0]) != self.identity(partials[1])

    def test_tells_functions_apart(self):
        assert self.identity(helper) != self.identity(recursive)

    @pytest.mark.parametrize(
        "function", [uses_object, scaled(OBJECT), scaled([].append), len, dict]
    )
    def test_refuses_what_it_cannot_see(self, function):
        with pytest.raises(ValueError, match="^function "):
            fingerprint(function)


def test_a_stem_may_hold_dots(tmp_path):
    write_record(tmp_path / "result.v1", {}, 1)
    write_record(tmp_path / "result.v2", {}, 2)
    assert read_record(tmp_path / "result.v1") == 1


def test_a_record_of_another_kind_takes_the_place_of_a_damaged_one(tmp_path):
    (tmp_path / "result.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="is damaged"):
        read_record(tmp_path / "result")
    write_record(tmp_path / "result", {}, 1.5)
    assert read_record(tmp_path / "result") == 1.5


def test_json_of_another_program_is_damaged(tmp_path):
    (tmp_path / "result.json").write_text('{"result": {"dict": 3}}')
    with pytest.raises(ValueError, match="is damaged"):
        read_record(tmp_path / "result")


defaults = 1


def uses_a_global_named_defaults(x):
    return x + defaults


def test_a_global_named_defaults_counts(monkeypatch):
    before = fingerprint(uses_a_global_named_defaults)
    monkeypatch.setitem(globals(), "defaults", 2)
    assert fingerprint(uses_a_global_named_defaults) != before
