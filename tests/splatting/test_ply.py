"""Splat files: the round trip, the layout that viewers expect, and files that are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.splatting import render, rgb_to_sh
from gaussbook.splatting.ply import read_ply, write_ply

from .problems import camera, gaussians

PATH = "scene.ply"


def single(n=7, degree=2, seed=0):
    return gaussians(n, seed, sh=degree, dtype=np.float32)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 9), degree=st.integers(0, 3), seed=st.integers(0, 10**6))
def test_round_trip_is_exact(tmp_path_factory, n, degree, seed):
    path = tmp_path_factory.mktemp("ply") / PATH
    parameters = single(n, degree, seed)
    write_ply(path, parameters)
    again = read_ply(path)
    assert set(again) == set(parameters)
    for name, value in parameters.items():
        assert again[name].dtype == np.float32
        np.testing.assert_array_equal(again[name], value)


def test_same_image(tmp_path, xp):
    parameters = gaussians(20)
    write_ply(tmp_path / PATH, {name: xp.asarray(value) for name, value in parameters.items()})
    again = {name: value.astype(float) for name, value in read_ply(tmp_path / PATH).items()}
    image = render(parameters, camera()).image
    assert image.max() > 0.1
    np.testing.assert_allclose(render(again, camera()).image, image, atol=1e-5)
    np.testing.assert_allclose(again["sh"][:, 0], rgb_to_sh(parameters["colors"]), rtol=1e-6)


def test_layout(tmp_path):
    """The order that the reference viewer needs: higher harmonics channel by channel."""
    parameters = single(3, 1)
    write_ply(str(tmp_path / PATH), parameters)
    header, data = (tmp_path / PATH).read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 3"]
    names = [line.removeprefix("property float ") for line in lines[3:]]
    assert names[:10] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0"]
    assert names[17:] == [
        *("f_rest_8", "opacity", "scale_0", "scale_1", "scale_2"),
        *("rot_0", "rot_1", "rot_2", "rot_3"),
    ]
    rows = np.frombuffer(data, "<f4").reshape(3, len(names))
    np.testing.assert_array_equal(rows[:, 9:12], parameters["sh"][:, 1:, 0])  # all of red first
    np.testing.assert_array_equal(rows[:, 15:18], parameters["sh"][:, 1:, 2])
    np.testing.assert_array_equal(rows[:, names.index("opacity")], parameters["opacity_logits"])
    np.testing.assert_array_equal(rows[:, 3:6], 0)


def test_other_order_and_types(tmp_path):
    names = ["opacity", "x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "red"]
    names += ["scale_0", "scale_1", "scale_2", "f_dc_0", "f_dc_1", "f_dc_2"]
    kinds = ["uchar" if name == "red" else "double" for name in names]
    header = ["ply", "format binary_little_endian 1.0", "comment by hand", "element vertex 2"]
    header += [f"property {kind} {name}" for kind, name in zip(kinds, names, strict=True)]
    rows = np.zeros(2, [(n, "u1" if n == "red" else "<f8") for n in names])
    rows["x"], rows["rot_0"] = (1, 2), 1
    content = "\n".join([*header, "end_header\n"]).encode() + rows.tobytes()
    (tmp_path / PATH).write_bytes(content)
    p = read_ply(tmp_path / PATH)
    np.testing.assert_array_equal(p["means"], [[1, 0, 0], [2, 0, 0]])
    np.testing.assert_array_equal(p["quaternions"][:, 0], 1)
    assert p["sh"].shape == (2, 1, 3)


@pytest.fixture
def content(tmp_path):
    write_ply(tmp_path / PATH, single(4, 1))
    return (tmp_path / PATH).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ply", b"obj", "no .ply file"),
        (b"end_header\n", b"", "no .ply file"),
        (b"binary_little_endian", b"ascii", "must be binary_little_endian"),
        (b"element vertex 4", b"element vertex 5", "truncated"),
        (b"element vertex 4", b"element vertex x", "no vertices"),
        (b"element vertex 4", b"element vertex 0", "no vertices"),
        (b"element vertex 4", b"element face 4", "must begin with vertices"),
        (b"element vertex 4\n", b"", "no vertices"),
        (b"property float opacity", b"property float weight", "lacks the properties opacity"),
        (b"property float x", b"property list uchar int x", "a property that is no number"),
        (b"property float y", b"property float x", "a property that is no number"),
        (b"property float z", b"property half z", "a property that is no number"),
        (b"property float f_rest_8\n", b"", "8 properties f_rest"),
        (b"property float x", b"nonsense", "a header line that is unknown"),
    ],
)
def test_bad_files(tmp_path, content, old, new, message):
    path = tmp_path / "bad.ply"
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"^path .*{message}"):
        read_ply(path)


def test_every_truncation(tmp_path, content):
    path = tmp_path / "bad.ply"
    for n in range(0, len(content), 17):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match="^path "):
            read_ply(path)
    path.write_bytes(content[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(ValueError, match="^path .*NaN"):
        read_ply(path)


@pytest.mark.parametrize("path", [None, 3.0, "", "missing.ply", "a\0b", {"a": 1}, [1]])
def test_bad_paths(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="^path "):
        read_ply(path)
    if path != "missing.ply":
        with pytest.raises(ValueError, match="^path "):
            write_ply(path, single())


NONSENSE = {
    "None": None,
    "text": "abc",
    "number": 1.5,
    "empty": [],
    "ragged": [[1.0], [1.0, 2.0]],
    "NaN": np.full((7, 3), np.nan),
    "too large": np.full((7, 3), 1e300),
    "wrong length": np.ones(5),
    "matrix": np.ones((8, 8)),
    "objects": np.array([object()]),
}


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize("name", list(single()))
def test_nonsense(tmp_path, name, kind):
    with pytest.raises(ValueError, match=r"^parameters\["):
        write_ply(tmp_path / PATH, single() | {name: NONSENSE[kind]})
    without = {key: value for key, value in single().items() if key != name}
    with pytest.raises(ValueError, match="^parameters "):
        write_ply(tmp_path / PATH, without)


@pytest.mark.parametrize(
    "parameters",
    [None, [1], single() | {"colors": np.ones((7, 3))}, single() | {"background": np.ones(3)}],
)
def test_what_has_no_place(tmp_path, parameters):
    with pytest.raises(ValueError, match="^parameters "):
        write_ply(tmp_path / PATH, parameters)
    with pytest.raises(ValueError, match=r"^parameters\['sh'\]"):
        write_ply(tmp_path / PATH, single() | {"sh": np.ones((7, 5, 3))})


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("first", [0.5, 1.6777226e-38])  # the second one begins with a line feed
def test_line_ends_of_the_header(tmp_path, line_end, first):
    parameters = single()
    parameters["means"][0, 0] = first
    write_ply(tmp_path / PATH, parameters)
    header, data = (tmp_path / PATH).read_bytes().split(b"end_header\n", 1)
    header = (header + b"comment end_header is next\nend_header\n").replace(b"\n", line_end)
    (tmp_path / PATH).write_bytes(header + data)
    again = read_ply(tmp_path / PATH)
    for name, value in parameters.items():
        np.testing.assert_array_equal(again[name], value)
