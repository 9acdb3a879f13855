"""The graph of a model's layers as an SVG drawing."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from cnnfast.formats.atomic import atomic_write
from cnnfast.graph.values import Value
from cnnfast.layers.base import Layer
from cnnfast.models.model import Model
from cnnfast.plots.layered import Edge, Layout, arranged

_CHARACTER = 7.3  # pixels of a letter of a monospaced font of 12 pixels
_LINE, _PADDING, _STRIPE = 16.0, 10.0, 5.0
_LONGEST = 60  # letters of a line; the whole name is in the tooltip
_MARGIN = 16.0
# by the module of the layer's class; the colours of Okabe and Ito
_FAMILIES = {
    "conv": "conv", "pooling": "pool", "normalization": "norm", "activation": "act", "core": "dense", "merge": "merge",
    "input": "input",
}  # fmt: skip
_STYLE = """
.cnnfast-model .page { fill: #ffffff }
.cnnfast-model .box { fill: #f6f8fa; stroke: #6e7781 }
.cnnfast-model .frame { fill: none; stroke: #6e7781; stroke-dasharray: 5 4 }
.cnnfast-model .edge { fill: none; stroke: #57606a; stroke-width: 1.3 }
.cnnfast-model .head { fill: #57606a }
.cnnfast-model text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #424a53 }
.cnnfast-model .name { font-weight: bold; fill: #1f2328 }
.cnnfast-model .other { fill: #8c959f }
.cnnfast-model .conv { fill: #0072b2 }
.cnnfast-model .pool { fill: #e69f00 }
.cnnfast-model .norm { fill: #cc79a7 }
.cnnfast-model .act { fill: #009e73 }
.cnnfast-model .dense { fill: #d55e00 }
.cnnfast-model .merge { fill: #f0e442 }
.cnnfast-model .input { fill: #1f2328 }
@media (prefers-color-scheme: dark) {
.cnnfast-model .page { fill: #0d1117 }
.cnnfast-model .box { fill: #1b222c; stroke: #8b949e }
.cnnfast-model .frame { stroke: #8b949e }
.cnnfast-model .edge { stroke: #9da7b3 }
.cnnfast-model .head { fill: #9da7b3 }
.cnnfast-model text { fill: #c5ced8 }
.cnnfast-model .name { fill: #f0f6fc }
.cnnfast-model .conv { fill: #56b4e9 }
.cnnfast-model .input { fill: #f0f6fc }
}
"""


class SVG(str):
    """The text of an SVG drawing, which notebooks show as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)


def plot_model(
    model: Model,
    to_file: str | os.PathLike[str] | None = None,
    show_shapes: bool = True,
    expand_nested: bool = False,
) -> SVG:
    """Draw the layers of a model and what flows between them, from the inputs at the top to the outputs.

    Each application of a layer is a box with the layer's name, its class and the shape of its output; colours tell
    convolutions, poolings and so on apart. The drawing suits light and dark pages, its text can be selected, and
    neither Graphviz nor matplotlib is needed.

    Args:
        model: built, from inputs and outputs.
        to_file: name of a file to write the drawing to, ending with ".svg".
        show_shapes: print the shapes of outputs, None for a dimension that may vary.
        expand_nested: draw models inside the model with their own layers, in a frame; default as one box.

    Returns:
        The text of the SVG drawing; as the last line of a notebook's cell, its picture.

    Raises:
        TypeError: no model. ValueError: a model whose layers are not known yet or only by its `call`; another ending.

    Example:
        >>> from cnnfast import plots
        >>> drawing = plots.plot_model(convnet, to_file="convnet.svg")
        >>> "GlobalAveragePooling2D" in drawing
        True
    """
    if not isinstance(model, Model):
        raise TypeError(f"plots.plot_model: model must be a cnnfast model, got {type(model).__name__}")
    if not model._outputs:
        raise ValueError(
            f"plots.plot_model: {model.name} has no graph of layers: it is not built, or defined by its call()"
        )
    if to_file is not None and not os.fspath(to_file).lower().endswith(".svg"):
        raise ValueError(f"plots.plot_model: to_file must end with .svg, got {os.fspath(to_file)!r}")
    picture = Picture.of(model, show_shapes, expand_nested)
    width, height = picture.layout.width + 2 * _MARGIN, picture.layout.height + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cnnfast-model" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_clean(model.name)}</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="page" width="100%" height="100%"/>',
        *picture.drawn(_MARGIN, _MARGIN),
        "</svg>",
    ]
    drawing = SVG("\n".join(lines) + "\n")
    if to_file is not None:
        with atomic_write(to_file) as temporary:
            Path(temporary).write_text(drawing, encoding="utf-8")
    return drawing


@dataclass
class Box:
    """One box: its lines of text, the first of which is the name, or the picture of the model inside it."""

    lines: list[str]
    family: str = "other"
    inside: Picture | None = None
    is_port: bool = False  # where an arrow passes the frame of a model
    is_model: bool = False
    width: float = field(init=False)
    height: float = field(init=False)

    def __post_init__(self) -> None:
        if self.is_port:
            self.width, self.height = 1.0, 0.0
        elif self.inside is not None:
            self.width = self.inside.layout.width + 2 * _PADDING
            self.height = self.inside.layout.height
        else:
            self.width = max(_columns(_short(line)) for line in self.lines) * _CHARACTER + 2 * _PADDING + _STRIPE
            self.height = len(self.lines) * _LINE + _PADDING


@dataclass
class Picture:
    """The boxes of one model, the arrows between them, and where they are.

    Attributes:
        boxes: the inputs, then the applications of layers in the order of running.
        edges: between boxes.
        layout: of both.
        enters, leaves: of a model inside another: where its inputs and outputs are, from the left.
    """

    boxes: list[Box]
    edges: list[Edge]
    layout: Layout
    enters: list[float]
    leaves: list[float]

    @classmethod
    def of(cls, model: Model, show_shapes: bool, expand_nested: bool, title: Sequence[str] = ()) -> Picture:
        """The picture of a model; of one inside another with a `title` and ports instead of inputs."""
        boxes: list[Box] = []
        origin: dict[int, tuple[int, float]] = {}  # of a value: its box, and where it leaves that
        for v in model._inputs:
            origin[id(v)] = (len(boxes), 0.0)
            shape = [_shape([v])] if show_shapes else []
            boxes.append(Box([], is_port=True) if title else Box([v.name, *_described("Input", shape)], "input"))
        edges: list[Edge] = []
        applications = Counter(id(node.op) for node in model._definition)
        before: Counter[int] = Counter()
        for node in model._definition:
            before[id(node.op)] += 1
            times = applications[id(node.op)]
            which = f" ({before[id(node.op)]} of {times})" if times > 1 and isinstance(node.op, Layer) else ""
            box = _box(node, which, show_shapes, expand_nested)
            inside = box.inside
            for i, read in enumerate(node.inputs):
                if read is not None and id(read) in origin:
                    enters = inside.enters[i] - inside.layout.width / 2 if inside else 0.0
                    edges.append(Edge(origin[id(read)][0], len(boxes), origin[id(read)][1], enters))
            for i, v in enumerate(node.outputs):
                origin[id(v)] = (len(boxes), inside.leaves[i] - inside.layout.width / 2 if inside else 0.0)
            boxes.append(box)
        first, last = list(range(len(model._inputs))), []
        if title:
            for v in model._outputs:
                edges.append(Edge(origin[id(v)][0], len(boxes), origin[id(v)][1]))
                last.append(len(boxes))
                boxes.append(Box([], is_port=True))
            first.append(len(boxes))
            boxes.append(Box(list(title)))
        edges = list(dict.fromkeys(edges))
        layout = arranged([(b.width, b.height) for b in boxes], edges, first if title else (), last)
        middles = [x + b.width / 2 for (x, _), b in zip(layout.corners, boxes, strict=True)]
        return cls(boxes, edges, layout, [middles[i] for i in range(len(model._inputs))], [middles[i] for i in last])

    def drawn(self, x: float, y: float, titled: bool = False) -> list[str]:
        """SVG elements, the upper left corner at (x, y); a title is the last box."""
        arrows = [
            _arrow([(px + x, py + y) for px, py in path], bare=self.boxes[edge.head].is_port)
            for path, edge in zip(self.layout.paths, self.edges, strict=True)
        ]
        shapes: list[str] = []
        for i, (box, (left, top)) in enumerate(zip(self.boxes, self.layout.corners, strict=True)):
            if box.is_port:
                continue
            if box.inside is not None:
                shapes.append(_rectangle("frame", x + left, y + top, box.width, box.height, 8))
                shapes += box.inside.drawn(x + left + _PADDING, y + top, titled=True)
            else:
                shapes += _box_drawn(box, x + left, y + top, bare=titled and i == len(self.boxes) - 1)
        return arrows + shapes


def _box(node: Any, which: str, show_shapes: bool, expand_nested: bool) -> Box:
    """The box of an application of a layer; `which` if there are several."""
    layer = node.op
    shape = [_shape(node.outputs)] if show_shapes else []
    if not isinstance(layer, Layer):  # an op on symbolic values
        return Box([layer.name, *_described("op", shape)])
    kind = type(layer).__name__
    if isinstance(layer, Model) and layer._outputs:
        count = len(layer.layers)
        lines = [layer.name + which, *_described(f"{kind}, {count} layer{'s' * (count != 1)}", shape)]
        if expand_nested and layer._definition:
            return Box(lines, inside=Picture.of(layer, show_shapes, True, title=lines))
        return Box(lines, is_model=True)
    module = type(layer).__module__
    family = _FAMILIES.get(module.rpartition(".")[2], "other") if module.startswith("cnnfast.layers.") else "other"
    return Box([layer.name + which, *_described(kind, shape)], family)


def _described(kind: str, shape: Sequence[str]) -> list[str]:
    return [" ".join([kind, *shape])]


def _shape(values: Sequence[Value]) -> str:
    return ", ".join(str(tuple(v.shape)) for v in values)


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _columns(text: str) -> int:
    """How many letters wide a text is; East Asian ones count twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _clean(text: str) -> str:
    """Text as XML can hold it: no markup, and no characters that XML 1.0 forbids."""
    return escape(re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text))


def _rectangle(kind: str, x: float, y: float, width: float, height: float, radius: float = 4) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.0f}"/>'


def _box_drawn(box: Box, x: float, y: float, bare: bool) -> list[str]:
    shapes = []
    if not bare:
        shapes.append(_rectangle("box", x, y, box.width, box.height))
        if box.is_model:
            shapes.append(_rectangle("frame", x + 3, y + 3, box.width - 6, box.height - 6, 2))
        else:
            shapes.append(_rectangle(box.family, x, y, _STRIPE, box.height, 2))
    for i, line in enumerate(box.lines):
        at = f'x="{x + _STRIPE + _PADDING:.1f}" y="{y + _PADDING / 2 + (i + 0.75) * _LINE:.1f}"'
        if i == 0:
            shapes.append(f'<text class="name" {at}><title>{_clean(line)}</title>{_clean(_short(line))}</text>')
        else:
            shapes.append(f"<text {at}>{_clean(_short(line))}</text>")
    return shapes


def _arrow(path: Sequence[tuple[float, float]], bare: bool) -> str:
    """A line along a path, with a head unless it is `bare`."""
    (x, y), steps = path[0], []
    for i, (to_x, to_y) in enumerate(path[1:]):
        end = to_y - (0 if bare or i < len(path) - 2 else 4)
        if abs(to_x - x) < 0.05:
            steps.append(f"V{end:.1f}")
        else:
            middle = (y + to_y) / 2
            steps.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {end:.1f}")
        x, y = to_x, to_y
    line = f'<path class="edge" d="M{path[0][0]:.1f} {path[0][1]:.1f}{"".join(steps)}"/>'
    return line if bare else f'{line}<path class="head" d="M{x:.1f} {y:.1f}l-4 -7h8z"/>'
