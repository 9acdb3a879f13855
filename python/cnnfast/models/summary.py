"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnfast.layers.base import Layer
    from cnnfast.models.model import Model


def summary_text(model: Model, line_length: int | None = None) -> str:
    """Layers with output shape and parameter count, then the totals."""
    rows = [("Layer (type)", "Output shape", "Param #")]
    rows += [_row(layer) for layer in model.layers]
    widths = [max(len(r[i]) for r in rows) for i in range(3)]
    if line_length is not None:
        widths[0] = max(widths[0], line_length - sum(widths[1:]) - 10)

    def line(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (w + 2) for w in widths) + right

    def text(row: tuple[str, str, str]) -> str:
        return f"│ {row[0]:<{widths[0]}} │ {row[1]:<{widths[1]}} │ {row[2]:>{widths[2]}} │"

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
        ]
    )


def _row(layer: Layer) -> tuple[str, str, str]:
    try:
        shape: Any = layer.output_shape
    except AttributeError:
        shape = "?"
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    return f"{layer.name} ({type(layer).__name__})", str(shape), count


def _count(n: int) -> str:
    size, unit = float(n * 4), "B"
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{n:,} ({size:.2f} {unit})"
