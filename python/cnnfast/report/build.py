"""Makes the page: everything it says is computed here and handed to one template; the template computes nothing."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.formats.atomic import atomic_write
from cnnfast.info import system_info
from cnnfast.models.model import Model
from cnnfast.report import figures, inside
from cnnfast.report import images as pictures
from cnnfast.report.data import Classified, Watched, classify
from cnnfast.report.explained import Explained, Shown, chosen_rows, explain
from cnnfast.training.sources import whole_number

DEFAULT_MAX_IMAGES = 1000
MAX_BYTES = 10_000_000
_WORST = 12
_MATRIX_CLASSES = 30
_SHADES = 10
_SECURITY = (
    "default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"
)


def write_report(
    model: Model,
    data: Any,
    path: str | os.PathLike[str],
    *,
    history: Any = None,
    title: str | None = None,
    max_images: int = DEFAULT_MAX_IMAGES,
    max_bytes: int = MAX_BYTES,
    seed: int | None = None,
    created: str | None = None,
) -> None:
    """Writes one HTML file about how a model classifies labelled images; see `Model.report`."""
    whole_number("report", "max_images", max_images, least=0)
    whole_number("report", "max_bytes", max_bytes)
    environment = _environment_of_templates()
    series = None if history is None else figures.read_history(history)
    watched = Watched(data)
    found = classify(model, watched)
    rows = chosen_rows(found, max_images)
    explained = explain(model, watched, found, rows)
    within = inside.look_inside(model, watched, found)
    facts = _facts(model, found, series, title, seed, created)
    html = _fitting(environment, facts, found, rows, explained, within, max_bytes)
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(html)


# The page within its size


def _fitting(
    environment: Any,
    facts: dict[str, Any],
    found: Classified,
    rows: Sequence[int],
    explained: Explained,
    within: inside.Inside,
    max_bytes: int,
) -> bytes:
    """The page with the finest pictures that keep it within `max_bytes`. ValueError if none do."""
    size = 0
    for level in pictures.LEVELS:
        kept = [explained.shown[row] for row in rows[: int(len(rows) * level.share)]]
        # Every eighth image tells whether encoding all of them is worth while.
        if 8 * sum(len(_src(shown, level)) for shown in kept[4::8]) > 1.1 * max_bytes:
            continue
        cards = [_card(found, shown, level) for shown in kept]
        _encode_steps(within, level)
        page = _page(environment, facts, found, explained, within, cards)
        size = len(page)
        if size <= max_bytes:
            return page
    raise ValueError(f"report: the page cannot be made smaller than {size} bytes, the limit is {max_bytes}")


def _page(
    environment: Any,
    facts: dict[str, Any],
    found: Classified,
    explained: Explained,
    within: inside.Inside,
    cards: list[dict[str, Any]],
) -> bytes:
    wrong = int((found.true != found.predicted).sum())
    style, script = _asset("report.css"), _asset("report.js")
    security = _SECURITY.format(style=_source_hash(style), script=_source_hash(script))
    html = environment.get_template("page.html.j2").render(
        facts,
        security=security,
        style=style,
        script=script,
        cards=cards,
        worst=[card for card in cards if card["true"] != card["predicted"]][:_WORST],
        wrong=wrong,
        explained=explained,
        inside=within,
        filename=found.filename,
        true_classes=found.true,
        predicted_classes=found.predicted,
        pixelated=max(found.image_shape[:2]) <= pictures.SMALL,
        gallery={"classes": found.class_names, "images": cards},
    )
    return html.encode("utf-8", "backslashreplace")


def _card(found: Classified, shown: Shown, level: pictures.Level) -> dict[str, Any]:
    """What the page knows of an image that it shows."""
    row = shown.row
    true, predicted = int(found.true[row]), int(found.predicted[row])
    named = [found.class_names[k] for k in ([predicted] if true == predicted else [predicted, true])]
    return {
        "row": row,
        "name": found.filename(row) or f"image {int(found.full.samples[row])}",
        "true": true,
        "predicted": predicted,
        "confidence": f"{found.confidence[row]:.1%}",
        "panels": ["image", *(f"for {name}" for name in named[: len(shown.heats)])],
        "empty": [name for name, empty in zip(named, shown.empty, strict=False) if empty],
        "src": _src(shown, level),
    }


def _src(shown: Shown, level: pictures.Level) -> str:
    small = max(shown.thumbnail.shape[:2]) <= pictures.SMALL
    return pictures.data_uri(shown.strip(level.side), level.quality, lossless=small)


def _encode_steps(within: inside.Inside, level: pictures.Level) -> None:
    share = level.cell / pictures.LEVELS[0].cell
    for example in within.examples:
        for step in example.steps:
            if step.picture is not None:
                picture = pictures.shrunk(step.picture, max(32, round(share * max(step.picture.shape))))
                step.src = pictures.data_uri(picture, level.quality)


# What the page says


@dataclass(frozen=True)
class _Cell:
    true: int
    predicted: int
    count: int
    share: str
    shade: int
    share_shade: int


def _facts(
    model: Model,
    found: Classified,
    series: dict[str, list[float]] | None,
    title: str | None,
    seed: int | None,
    created: str | None,
) -> dict[str, Any]:
    """Everything on the page but its pictures."""
    counts = found.counts
    right = found.true == found.predicted
    bins, error = figures.calibration(found.confidence, right)
    trainable = sum(w.value.size for w in model.trainable_weights)
    frozen = sum(w.value.size for w in model.non_trainable_weights)
    loss = found.full.results.get("loss")
    return {
        "title": title or f"How {model.name} sees",
        "model_name": model.name,
        "created": created,
        "layers": _layers(model),
        "trainable": trainable,
        "frozen": frozen,
        "images": len(found.true),
        "accuracy": float(right.mean()),
        "loss": figures.cross_entropy(found.probabilities, found.true) if loss is None else float(loss),
        "loss_is_compiled": loss is not None,
        "how": found.how,
        "data_hash": found.data_hash,
        "image_shape": "x".join(map(str, found.image_shape)),
        "names": found.class_names,
        "curves": figures.curves(series) if series else [],
        "matrix": _matrix(counts),
        "matrix_classes": _matrix_classes(counts),
        "counts": counts,
        "pairs": figures.confused_pairs(counts),
        "bins": bins,
        "ece": error,
        "per_class": figures.per_class(counts, found.class_names),
        "system": _system(),
        "seed": seed,
    }


def _layers(model: Any, indent: int = 0) -> list[dict[str, Any]]:
    rows = []
    for layer in model.layers:
        rows.append(
            {
                "name": layer.name,
                "indent": indent,
                "kind": type(layer).__name__,
                "shape": str(getattr(layer, "output_shape", "?")),
                "parameters": layer.count_params() if layer.built else 0,
                "frozen": bool(layer.weights) and not layer.trainable_weights,
            }
        )
        if hasattr(layer, "layers"):
            rows += _layers(layer, indent + 1)
    return rows


def _matrix_classes(counts: np.ndarray) -> list[int]:
    """The classes in the matrix: all, or those with the most mistakes if there are many."""
    if len(counts) <= _MATRIX_CLASSES:
        return list(range(len(counts)))
    hits = np.diag(counts)
    mistakes = counts.sum(0) + counts.sum(1) - 2 * hits
    order = np.lexsort((np.arange(len(counts)), -hits, -mistakes))
    return sorted(int(k) for k in order[:_MATRIX_CLASSES])


def _matrix(counts: np.ndarray) -> list[list[_Cell]]:
    classes = _matrix_classes(counts)
    most = max(1, int(counts[np.ix_(classes, classes)].max()))
    rows = []
    for t in classes:
        total = int(counts[t].sum())
        row = []
        for p in classes:
            count = int(counts[t, p])
            share = count / total if total else 0.0
            row.append(_Cell(t, p, count, f"{share:.2f}", _shade(count / most), _shade(share)))
        rows.append(row)
    return rows


def _shade(share: float) -> int:
    """0 for nothing, 1 to 10 for the rest: one mistake among thousands is still seen."""
    return max(1, round(_SHADES * share)) if share > 0 else 0


def _system() -> dict[str, str]:
    info = system_info()
    return {
        "cnnfast": info["cnnfast"],
        "Python": f"{info['python']} on {info['platform']}",
        "CPU": info["cpu"],
        "Instruction set": info["isa"],
        "Threads": f"{info['threads']} of {info['threads_allowed']} allowed ({info['threading']})",
        **info["dependencies"],
    }


# Templates


def _environment_of_templates() -> Any:
    try:
        import jinja2
    except ImportError:
        raise ImportError('the report needs Jinja2: pip install "cnnfast[report]"') from None
    return jinja2.Environment(
        loader=jinja2.PackageLoader("cnnfast.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> Any:
    """The text of an asset, which goes into the page as it is."""
    from markupsafe import Markup

    return Markup(resources.files("cnnfast.report").joinpath(f"assets/{name}").read_text(encoding="utf-8"))


def _source_hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline style or script that it lets through."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
