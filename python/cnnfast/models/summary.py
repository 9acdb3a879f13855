"""The table that `model.summary()` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnfast.models.model import Model

_NAMES_SHOWN = 5  # of the model's classes


def summary_text(
    model: Model, line_length: int | None = None, expand_nested: bool = False, show_trainable: bool = False
) -> str:
    """Layers with output shape and parameter count, then the totals."""
    rows = [("Layer (type)", "Output shape", "Param #", "Trainable"), *_rows(model, expand_nested)]
    if not show_trainable:
        rows = [row[:3] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if line_length is not None:
        widths[0] = max(widths[0], line_length - sum(widths[1:]) - 3 * len(widths) - 1)

    def line(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (w + 2) for w in widths) + right

    def text(row: tuple[str, ...]) -> str:
        cells = [
            f"{cell:>{w}}" if i == 2 else f"{cell:<{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        return f"│ {' │ '.join(cells)} │"

    table = [
        line("┌", "┬", "┐"),
        text(rows[0]),
        line("├", "┼", "┤"),
        *map(text, rows[1:]),
        line("└", "┴", "┘"),
    ]
    trainable = sum(w.value.size for w in model.trainable_weights)
    frozen = sum(w.value.size for w in model.non_trainable_weights)
    return "\n".join(
        [
            f'Model: "{model.name}"',
            *table,
            f" Total params: {_count(trainable + frozen)}",
            f" Trainable params: {_count(trainable)}",
            f" Non-trainable params: {_count(frozen)}",
            *_classes(model.class_names),
        ]
    )


def _rows(model: Model, expand_nested: bool, indent: str = "") -> Iterator[tuple[str, ...]]:
    for layer in model.layers:
        shape: Any = getattr(layer, "output_shape", "?")
        count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        trainable = "-" if not layer.weights else "Y" if layer.trainable_weights else "N"
        yield f"{indent}{layer.name} ({type(layer).__name__})", str(shape), count, trainable
        if expand_nested and hasattr(layer, "layers"):
            inner: Any = layer  # a Model
            yield from _rows(inner, expand_nested, indent + "  ")


def _classes(names: list[str] | None) -> list[str]:
    if names is None:
        return []
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return [f" Classes: {len(names):,} ({', '.join(names[:_NAMES_SHOWN])}{more})"]


def _count(n: int) -> str:
    size, unit = float(n * 4), "B"
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{n:,} ({size:.2f} {unit})"
