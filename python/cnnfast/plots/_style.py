"""What all plots share: figures without pyplot, the palette, class names, plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, "Color Universal Design"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
GREY = "#6e6e6e"


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` x `height` inches that lays itself out and is known to nobody else."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="compressed", dpi=120)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    return figure


def class_labels(op: str, class_names: Sequence[str] | None, num_classes: int) -> list[str]:
    """Names of the classes, their numbers without names. ValueError if there are too few or too many."""
    if class_names is None:
        return [str(index) for index in range(num_classes)]
    if len(class_names) != num_classes:
        raise ValueError(f"{op}: {len(class_names)} class_names for {num_classes} classes")
    return [str(name) for name in class_names]


def plain(text: object) -> str:
    """A text to be drawn as it is: between two `$` matplotlib would read a formula, and fail where there is none."""
    return str(text).replace("$", r"\$")
