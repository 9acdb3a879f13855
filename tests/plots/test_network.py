"""The drawing of a model: what is on it, where it lies, and that nothing in a name can break it."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, applications, layers, ops, plots
from cnnfast.plots.layered import Edge, apart, arranged
from cnnfast.plots.network import Picture

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(11)


def branches() -> Model:
    """Two inputs, a shared layer, a model inside with two outputs, a path past it, an op, a Sequential inside."""
    a, b = Input((8, 8, 3), name="left"), Input((8, 8, 3), name="right")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = Input((8, 8, 4))
    u = layers.Conv2D(4, 1, name="u")(x)
    inner = Model(x, [u, layers.Conv2D(2, 1, name="v")(u)], name="inner")
    first, second = inner(shared(a))
    total = layers.Add(name="sum")([first, shared(b), first])
    joined = layers.Concatenate(name="joined")([ops.add(total, total), second, a])
    head = Sequential([Input((8, 8, 9)), layers.Flatten(), layers.Dense(3, name="scores")], name="head")
    return Model([a, b], [head(joined), layers.GlobalAveragePooling2D(name="mean")(second)], name="branches")


def texts(drawing: str) -> list[str]:
    return ["".join(t.itertext()) if t.find(f"{SVG}title") is None else t.find(f"{SVG}title").tail
            for t in ElementTree.fromstring(drawing).iter(f"{SVG}text")]  # fmt: skip


def rectangles(drawing: str, kind: str) -> list[tuple[float, ...]]:
    found = [r for r in ElementTree.fromstring(drawing).iter(f"{SVG}rect") if r.get("class") == kind]
    return [tuple(float(r.get(name)) for name in ("x", "y", "width", "height")) for r in found]


def overlap(one, other) -> bool:
    """Whether two rectangles (x, y, width, height) have more than an edge in common."""
    return all(one[i] + one[i + 2] > other[i] + 1e-6 and other[i] + other[i + 2] > one[i] + 1e-6 for i in (0, 1))


def edges_of(picture: Picture) -> set[tuple[str, str]]:
    names = [b.lines[0] if b.lines else "" for b in picture.boxes]
    return {(names[e.tail], names[e.head]) for e in picture.edges}


def check(sizes, layout, edges) -> None:
    """Nothing lies on anything else, everything on the page, arrows run down and keep away from boxes."""
    boxes = [(*corner, *size) for corner, size in zip(layout.corners, sizes, strict=True)]
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
    for x, y, width, height in boxes:
        assert x >= -1e-6 and y >= 0 and x + width <= layout.width + 1e-6 and y + height <= layout.height + 1e-6
    for edge, path in zip(edges, layout.paths, strict=True):
        (x0, y0, w0, h0), (x1, y1, w1, _) = boxes[edge.tail], boxes[edge.head]
        assert path[0] == pytest.approx((x0 + w0 / 2 + edge.leaves, y0 + h0))
        assert path[-1] == pytest.approx((x1 + w1 / 2 + edge.enters, y1))
        assert all(b[1] >= a[1] for a, b in pairwise(path))
        for i, (a, b) in enumerate(pairwise(path)):
            if i % 2 == 0:
                assert a[0] == b[0]  # a vertical line
            # a curve stays in the rectangle around its ends, as it is steered from there
            reach = (min(a[0], b[0]), a[1], abs(a[0] - b[0]), b[1] - a[1])
            assert not any(overlap(reach, box) for box in boxes)


# what is drawn


def test_every_application_of_a_layer_has_its_name_class_and_shape():
    model = Sequential(
        [Input((8, 6, 3), name="photo"), layers.Conv2D(4, 3, name="edges"), layers.Flatten(name="flat")], name="net"
    )
    assert texts(plots.plot_model(model)) == [
        "photo", "Input (None, 8, 6, 3)", "edges", "Conv2D (None, 6, 4, 4)", "flat", "Flatten (None, 96)",
    ]  # fmt: skip
    assert texts(plots.plot_model(model, show_shapes=False)) == ["photo", "Input", "edges", "Conv2D", "flat", "Flatten"]


def test_arrows_are_what_flows_between_the_boxes():
    assert edges_of(Picture.of(branches(), True, False)) == {
        ("left", "shared (1 of 2)"), ("right", "shared (2 of 2)"), ("shared (1 of 2)", "inner"), ("inner", "sum"),
        ("shared (2 of 2)", "sum"), ("sum", "add"), ("add", "joined"), ("inner", "joined"), ("left", "joined"),
        ("joined", "head"), ("inner", "mean"),
    }  # fmt: skip


def test_only_the_applications_within_the_model_are_counted():
    layer = layers.Dense(4, name="twice")
    first, second = Input((4,)), Input((4,))
    Model(first, layer(first))
    drawing = plots.plot_model(Model(second, layer(second)))
    assert "twice" in texts(drawing)


def test_a_model_inside_is_one_box_or_opened_in_a_frame():
    closed, opened = plots.plot_model(branches()), plots.plot_model(branches(), expand_nested=True)
    assert "Model, 3 layers (None, 8, 8, 4), (None, 8, 8, 2)" in texts(closed)
    assert not {"u", "v", "scores"} & set(texts(closed))
    assert {"u", "v", "scores", "inner", "head"} <= set(texts(opened))
    boxes, frames = rectangles(opened, "box"), rectangles(opened, "frame")
    assert len(frames) == 2 and not overlap(*frames)
    inside = [all(f[i] <= b[i] and b[i] + b[i + 2] <= f[i] + f[i + 2] for i in (0, 1)) for f in frames for b in boxes]
    assert sum(inside) == 4  # u and v, the head's two
    assert not any(overlap(*pair) for pair in combinations(boxes, 2))
    assert sum(overlap(f, b) for f in frames for b in boxes) == 4


def test_the_arrows_of_an_opened_model_go_on_at_its_frame():
    outer = Picture.of(branches(), True, True)
    (x, y), inner = next(
        (corner, box) for corner, box in zip(outer.layout.corners, outer.boxes, strict=True) if box.inside is not None
    )
    entering = [p[-1][0] for e, p in zip(outer.edges, outer.layout.paths, strict=True) if outer.boxes[e.head] is inner]
    begins = {round(path[0][0] + x + 10, 6) for path in inner.inside.layout.paths if path[0][1] == 0}
    assert {round(at, 6) for at in entering} == begins and y > 0


@pytest.mark.parametrize("name", ["ResNet18", "MobileNetV2", "DenseNet121"])
def test_boxes_and_arrows_of_real_networks_keep_apart(name):
    model = getattr(applications, name)(weights=None)
    picture = Picture.of(model, True, False)
    assert len(picture.boxes) == len(model.layers)
    check([(b.width, b.height) for b in picture.boxes], picture.layout, picture.edges)


def test_boxes_and_arrows_of_branches_keep_apart():
    for expand_nested in (False, True):
        picture = Picture.of(branches(), True, expand_nested)
        check([(b.width, b.height) for b in picture.boxes], picture.layout, picture.edges)


# names


HOSTILE = ["<script>alert(1)</script>", "a\"b'c", "]]> & &amp;", "\x00\x1b\ud800￿", "‮detrevni", "名前" * 40, "x" * 200]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_the_drawing(name):
    inside = Sequential([Input((4,)), layers.Dense(2, name=name)], name=name)
    model = Model(x := Input((4,), name=name + "in"), inside(x), name=name)
    for expand_nested in (False, True):
        drawing = plots.plot_model(model, expand_nested=expand_nested)
        root = ElementTree.fromstring(drawing.encode())
        assert {e.tag for e in root.iter()} <= {SVG + tag for tag in ("svg", "title", "style", "rect", "path", "text")}
        assert max(map(len, texts(drawing))) <= 60
    assert root.find(f"{SVG}title").text == "".join(c if c >= " " and c not in "\ud800￿" else "�" for c in name)


def test_text_lies_in_its_box():
    drawing = plots.plot_model(
        Sequential([Input((4,)), layers.Dense(2, name="w" * 50), layers.Dense(2, name="名" * 30)])
    )
    boxes = rectangles(drawing, "box")
    for text in ElementTree.fromstring(drawing).iter(f"{SVG}text"):
        shown = text.find(f"{SVG}title").tail if text.find(f"{SVG}title") is not None else text.text
        width = sum(12 if ord(c) > 0x2E80 else 7.23 for c in shown)  # of DejaVu Sans Mono, and of square characters
        x, y = float(text.get("x")), float(text.get("y"))
        assert any(b[0] < x and x + width < b[0] + b[2] and b[1] < y - 9 and y + 3 < b[1] + b[3] for b in boxes)


# files and notebooks


def test_the_drawing_is_written_and_shown_by_notebooks(tmp_path):
    model = Sequential([Input((4,)), layers.Dense(2)])
    drawing = plots.plot_model(model, to_file=tmp_path / "net.svg")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == drawing == drawing._repr_svg_()
    assert plots.plot_model(model) == drawing
    assert "prefers-color-scheme: dark" in drawing


def test_drawing_a_model_needs_no_matplotlib():
    code = """
import sys
sys.modules["matplotlib"] = None
from cnnfast import Input, Sequential, layers, plots
plots.plot_model(Sequential([Input((4,)), layers.Dense(2)]))
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(filter(None, sys.path))}, check=True)


class Called(Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: plots.plot_model("net"), TypeError, "must be a cnnfast model, got str"),
        (lambda: plots.plot_model(Sequential([layers.Dense(2)], name="net")), ValueError, "net has no graph of layers"),
        (lambda: plots.plot_model(Called(name="own")), ValueError, "own has no graph of layers"),
        (lambda: plots.plot_model(branches(), to_file="net.png"), ValueError, r"must end with .svg, got 'net.png'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# the layout


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_random_graphs_are_laid_out_without_overlap(count):
    for _ in range(10):
        pairs = {(int(t), h) for h in range(1, count) for t in RNG.integers(0, h, RNG.integers(0, 4))}
        edges = [Edge(t, h, *RNG.uniform(-5, 5, 2)) for t, h in sorted(pairs)]
        sizes = [(float(w), float(h)) for w, h in RNG.integers(12, 90, (count, 2))]
        check(sizes, arranged(sizes, edges), edges)


def test_a_chain_is_straight_and_the_arrow_past_it_turns_only_at_its_ends():
    edges = [Edge(i, i + 1) for i in range(5)] + [Edge(0, 5)]
    layout = arranged([(w, 20.0) for w in (50.0, 80.0, 30.0, 90.0, 40.0, 60.0)], edges)
    middles = [x + w / 2 for (x, _), w in zip(layout.corners, (50, 80, 30, 90, 40, 60), strict=True)]
    np.testing.assert_allclose(middles, middles[0], atol=0.05)
    lane = [x for x, _ in layout.paths[5][2:-1]]
    np.testing.assert_allclose(lane, lane[0], atol=0.05)


def test_branches_are_uncrossed():
    edges = [Edge(0, 1), Edge(0, 2), Edge(1, 4), Edge(2, 3), Edge(3, 5), Edge(4, 5)]
    layout = arranged([(40.0, 20.0)] * 6, edges)
    x = [corner[0] for corner in layout.corners]
    assert (x[1] < x[2]) == (x[4] < x[3])


def test_neighbours_share_the_way_when_they_are_pushed_apart():
    assert apart([0, 0, 100], [10, 10], [1, 1, 1]) == [-5, 5, 100]
    assert apart([0, 0], [9], [2, 1]) == [-3, 6]
    assert apart([7], [], [1]) == [7]
