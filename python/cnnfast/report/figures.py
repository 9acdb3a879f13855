"""The numbers of a report, and where lines and bars lie in its drawings."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 10
_WIDTH, _HEIGHT = 320.0, 150.0


@dataclass(frozen=True)
class ClassFigures:
    """How one class came out; None where there is nothing to divide by."""

    name: str
    images: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Pair:
    """A class that was taken for another one."""

    true: int
    predicted: int
    count: int
    images: int


@dataclass(frozen=True)
class Bin:
    """Images of similar confidence, and how many of them were right."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Series:
    """A line of a drawing: `path` for SVG, and its last and best values."""

    name: str
    path: str
    dots: list[tuple[float, float]]
    last: float


@dataclass(frozen=True)
class Panel:
    """A drawing of one quantity by epoch."""

    name: str
    low: str
    high: str
    first_epoch: int
    last_epoch: int
    series: list[Series]


def per_class(counts: np.ndarray, names: list[str]) -> list[ClassFigures]:
    """Precision, recall and F1 of each class from a confusion matrix (K, K) with the true class in the row."""
    rows, columns = counts.sum(1), counts.sum(0)
    return [
        ClassFigures(
            name,
            int(rows[k]),
            int(columns[k]),
            _share(counts[k, k], columns[k]),
            _share(counts[k, k], rows[k]),
            _share(2 * counts[k, k], rows[k] + columns[k]),
        )
        for k, name in enumerate(names)
    ]


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def confused_pairs(counts: np.ndarray, count: int = 10) -> list[Pair]:
    """The classes most often taken for another, the most frequent first."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    found = [(int(flat // len(counts)), int(flat % len(counts))) for flat in order]
    return [Pair(t, p, int(wrong[t, p]), int(counts[t].sum())) for t, p in found if wrong[t, p]]


def calibration(confidence: np.ndarray, right: np.ndarray) -> tuple[list[Bin], float]:
    """Ten bins of equal width with the images whose confidence lies in (low, high], and the expected calibration error.

    Args:
        confidence: probability of the predicted class (N,).
        right: whether it was right (N,).

    Source: Guo et al., "On calibration of modern neural networks" (2017), eq. 2 and 3.
    """
    which = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for b in range(BINS):
        inside = which == b
        if not inside.any():
            bins.append(Bin(b / BINS, (b + 1) / BINS, 0, 0.0, 0.0))
            continue
        sure, correct = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append(Bin(b / BINS, (b + 1) / BINS, int(inside.sum()), sure, correct))
        error += float(inside.mean()) * abs(sure - correct)
    return bins, error


def cross_entropy(probabilities: np.ndarray, true: np.ndarray) -> float:
    """Mean of -log p of the true class, p no lower than 1e-7."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(true)), true], 1e-7)).mean())


def read_history(history: Any) -> dict[str, list[float]]:
    """The numbers of a training by name, one for each epoch; NaN where there is none.

    Args:
        history: what `fit` returned, a mapping from names to numbers, or a CSV file as `CSVLogger` writes it.

    Raises:
        TypeError: something else. ValueError: no epochs, or series of different lengths.
    """
    if isinstance(history, (str, os.PathLike)):
        with open(history, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
        if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
            raise ValueError(f"report: {os.fspath(history)!r} is no table of epochs")
        series = {name: [_number(row[i]) for row in rows[1:]] for i, name in enumerate(rows[0]) if name != "epoch"}
    else:
        found = getattr(history, "history", history)
        if not isinstance(found, Mapping):
            raise TypeError(f"report: history must be a History, a mapping or a CSV file, got {type(history).__name__}")
        series = {str(name): [float(v) for v in values] for name, values in found.items() if np.ndim(values) == 1}
    if len({len(values) for values in series.values()}) != 1 or not all(series.values()):
        raise ValueError("report: history must be series of one length of at least one epoch")
    return series


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def curves(history: Mapping[str, list[float]]) -> list[Panel]:
    """A drawing for each quantity, training and validation in one."""
    panels = []
    for name in history:
        if name.startswith("val_") and name[4:] in history:
            continue
        lines = {"training": history[name], "validation": history.get(f"val_{name}", [])}
        finite = [v for values in lines.values() for v in values if math.isfinite(v)]
        if not finite:
            continue
        low, high = min(finite), max(finite)
        epochs = len(history[name])
        series = [_series(line, values, low, high) for line, values in lines.items() if any(map(math.isfinite, values))]
        panels.append(Panel(name.replace("_", " "), f"{low:.4g}", f"{high:.4g}", 1, epochs, series))
    return panels


def _series(name: str, values: list[float], low: float, high: float) -> Series:
    span, steps = (high - low) or 1.0, max(len(values) - 1, 1)
    path, dots, pen = [], [], "M"
    for i, value in enumerate(values):
        if not math.isfinite(value):
            pen = "M"
            continue
        x, y = round(_WIDTH * i / steps, 1), round(_HEIGHT * (1 - (value - low) / span), 1)
        path.append(f"{pen}{x:g} {y:g}")
        dots.append((x, y))
        pen = "L"
    last = next(v for v in reversed(values) if math.isfinite(v))
    return Series(name, "".join(path), dots if len(dots) <= 30 else dots[-1:], last)
