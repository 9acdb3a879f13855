"""Several explanations of the same answers side by side, ranked by how well they hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.explain.curves import deletion, insertion
from cnnfast.explain.imputation import road
from cnnfast.explain.maps import scaled
from cnnfast.explain.measuring import Method, flat_maps, images_of, settled
from cnnfast.explain.probe import Probe
from cnnfast.explain.robustness import max_sensitivity
from cnnfast.explain.sanity import model_randomisation, ranks
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Methods of `cnnfast.explain` that take no more than some passes through the model.
_METHODS = (
    "gradcam", "gradcam_plus_plus", "hirescam", "xgradcam", "layercam", "eigencam", "fullgrad",
    "saliency", "gradient_x_input", "smoothgrad", "integrated_gradients", "guided_backprop", "guided_gradcam",
)  # fmt: skip
#: Those that take many, or are like others.
_OTHERS = (
    "cam", "eigen_gradcam", "elementwise_cam", "scorecam", "ablationcam", "vargrad", "deconvnet", "occlusion", "rise",
    "lime", "kernel_shap",
)  # fmt: skip


@dataclass(frozen=True)
class _Task:
    """What a measure may look at."""

    model: Model
    images: np.ndarray
    target: TargetLike
    method: Method
    maps: np.ndarray
    seed: int
    of: str
    output: int | str

    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "of": self.of, "output": self.output}


@dataclass(frozen=True)
class _Measure:
    values: Callable[[_Task], np.ndarray]  # (N,)
    more_is_better: bool


def _insertion(task: _Task) -> np.ndarray:
    return insertion(task.model, task.images, task.maps, task.target, steps=_steps(task), **task.settings()).area


def _deletion(task: _Task) -> np.ndarray:
    return deletion(task.model, task.images, task.maps, task.target, steps=_steps(task), **task.settings()).area


def _road(task: _Task) -> np.ndarray:
    percentiles = (20, 40, 60, 80, 90)
    return road(task.model, task.images, task.maps, task.target, percentiles=percentiles, **task.settings()).mean


def _max_sensitivity(task: _Task) -> np.ndarray:
    return max_sensitivity(
        task.method, task.model, task.images, task.target, samples=5, seed=task.seed, output=task.output
    )


def _randomisation(task: _Task) -> np.ndarray:
    found = model_randomisation(task.method, task.model, task.images, task.target, seed=task.seed, output=task.output)
    return np.abs(found.spearman).mean(0)


def _steps(task: _Task) -> int:
    return min(25, task.maps[0].size)


_MEASURES = {
    "insertion": _Measure(_insertion, True),
    "deletion": _Measure(_deletion, False),
    "road": _Measure(_road, True),
    "max_sensitivity": _Measure(_max_sensitivity, False),
    "randomisation": _Measure(_randomisation, False),
}
_USUAL = ("insertion", "deletion", "road", "max_sensitivity")


@dataclass(frozen=True)
class Comparison:
    """Explanations by several methods and how well they hold; `print` shows a table, `plot` the maps.

    Attributes:
        rows: of each method, the best first: its name as "method", the "seconds" it took, the mean of each measure
            over the images, and "mean_rank", the mean of its ranks among the methods (1 is best; methods whose
            means are the same to four digits share a rank).
        measures: names of the measures, each with whether more is better.
        values: float64 (N,) of each measure of each method, `values["gradcam"]["road"]`.
        maps: float64 (N, H, W) of each method.
        images: float32 (N, H, W, C), as they were given.
        left_out: methods that cannot explain this model, and why.
    """

    rows: list[dict[str, Any]]
    measures: dict[str, bool]
    values: dict[str, dict[str, np.ndarray]]
    maps: dict[str, np.ndarray]
    images: np.ndarray
    left_out: dict[str, str]

    def __str__(self) -> str:
        names = [*self.measures]
        head = ["method", "seconds", *(f"{n} {'↑' if more else '↓'}" for n, more in self.measures.items()), "mean rank"]
        lines = [head]
        for row in self.rows:
            numbers = [f"{row[n]:.4f}" for n in names]
            lines.append([row["method"], f"{row['seconds']:.2f}", *numbers, f"{row['mean_rank']:.2f}"])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in lines
        ]
        text.insert(1, "-" * len(text[0]))
        return "\n".join([*text, *(f"left out: {name} ({why})" for name, why in self.left_out.items())])

    def plot(self, image: int = 0, pictures: Any = None) -> Figure:
        """The methods' maps over an image, the best method first, each with this image's measures beneath.

        Args:
            image: its number.
            pictures: (N, H, W, C), what is drawn instead of `images` where these were preprocessed and look odd.

        Returns:
            The figure; save it with ``figure.savefig("name.png")``.

        Raises:
            IndexError: there is no such image.
            ValueError: pictures of another number or size than the images.
            ImportError: matplotlib is not installed.
        """
        from cnnfast.plots._style import new_figure, plain

        if not 0 <= image < len(self.images):
            raise IndexError(f"compare: there is no image {image}, there are {len(self.images)}")
        drawn = self.images if pictures is None else np.asarray(pictures)
        if drawn.ndim != 4 or drawn.shape[:3] != self.images.shape[:3]:
            raise ValueError(f"compare: images {self.images.shape} need pictures of their size, got {drawn.shape}")
        picture = _picture(drawn[image])
        panels = len(self.rows) + 1
        columns = min(panels, 5)
        lines = -(-panels // columns)
        cell = 2.1
        figure = new_figure(cell * columns, (cell + 0.2 * (len(self.measures) + 2)) * lines)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for panel in axes:
            panel.set_axis_off()
        axes[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes[0].set_title("image", fontsize=9)
        for panel, (place, row) in zip(axes[1:], enumerate(self.rows, 1), strict=False):
            name = row["method"]
            panel.imshow(picture.mean(-1) if picture.ndim == 3 else picture, cmap="gray", vmin=0, vmax=1)
            panel.imshow(scaled(self.maps[name][image : image + 1])[0], cmap="inferno", vmin=0, vmax=1, alpha=0.65)
            panel.set_title(plain(f"{place}. {name}"), fontsize=9)
            text = [
                f"{m} {'↑' if more else '↓'} {self.values[name][m][image]:.3f}" for m, more in self.measures.items()
            ]
            text.append(f"mean rank {row['mean_rank']:.2f}")
            panel.text(0.5, -0.04, "\n".join(text), fontsize=7, ha="center", va="top", transform=panel.transAxes)
        return figure


def compare(
    model: Model,
    x: Any,
    target: TargetLike = None,
    methods: Mapping[str, Method] | Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    *,
    seed: int = 0,
    output: int | str = 0,
) -> Comparison:
    """Explain the same images by several methods and rank these by how well their explanations hold.

    Measures: "insertion" and "deletion" in 25 steps, "road" (combined, at 20, 40, 60, 80 and 90 percent),
    "max_sensitivity" (5 samples), and, only when asked for, "randomisation" (mean absolute rank correlation with the
    maps of the model whose layers became random one after the other; less is better).

    Args:
        model: any model with images as its only input.
        x: images (N, H, W, C) as the model takes them. Some ten tell more than one.
        target: as for `gradcam`; the predicted class without one. A function cannot be measured.
        methods: names and functions `method(model, x, target)` that give (N, H, W) or (N, H, W, C); or names of
            methods of explaining in `cnnfast.explain`. Default: those of them that take few passes through the model
            and can explain it. Functions are called as they are; one that explains another output than the first has
            it bound, as by `functools.partial`.
        measures: names of measures. Default: all but "randomisation".
        seed: decides all that is random.
        output: which output of the model predicts, is measured, and is explained by the methods taken by name.

    Returns:
        `Comparison`: print it, or look at `plot(image=0)`.

    Raises:
        ValueError: no methods or measures, unknown names, methods that give no maps of the images' size.

    Example:
        >>> def centre(model, x, target):
        ...     maps = np.zeros(x.shape[:3])
        ...     maps[:, 4:12, 4:12] = 1
        ...     return maps
        >>> result = compare(convnet, images, 1, {"gradcam": cnnfast.explain.gradcam, "centre": centre})
        >>> sorted(row["method"] for row in result.rows)
        ['centre', 'gradcam']
    """
    op = "compare"
    images = images_of(Probe(model, x, op=op, output=output))
    chosen, required = _methods(methods, output)
    wanted = list(_USUAL if measures is None else [measures] if isinstance(measures, str) else measures)
    unknown = [m for m in wanted if m not in _MEASURES]
    if unknown or not wanted:
        raise ValueError(f"{op}: measures must be some of {', '.join(_MEASURES)}, got {unknown or wanted}")
    fixed = settled(op, model, images, target, output)
    of = "probability" if Probe(model, images, op=op, output=output).scores().ndim == 2 else "score"
    maps: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    values: dict[str, dict[str, np.ndarray]] = {}
    left_out: dict[str, str] = {}
    for name, method in chosen.items():
        begin = time.perf_counter()
        try:
            found = method(model, images, fixed)
        except ValueError as error:
            if required:
                raise
            left_out[name] = str(error)
            continue
        seconds[name] = time.perf_counter() - begin
        maps[name] = flat_maps(f"{op}: {name}", found, images.shape)
        task = _Task(model, images, fixed, method, maps[name], seed, of, output)
        values[name] = {m: _MEASURES[m].values(task) for m in wanted}
    if not maps:
        raise ValueError(f"{op}: no method can explain {model.name}: {left_out}")
    directions = {m: _MEASURES[m].more_is_better for m in wanted}
    return Comparison(_ranked(values, directions, seconds), directions, values, maps, images, left_out)


def _methods(methods: Mapping[str, Method] | Sequence[str] | None, output: int | str) -> tuple[dict[str, Method], bool]:
    """The methods by name, and whether each was asked for."""
    from cnnfast import explain

    if isinstance(methods, Mapping):
        chosen = dict(methods)
    else:
        names = _METHODS if methods is None else [methods] if isinstance(methods, str) else methods
        known = (*_METHODS, *_OTHERS)
        if missing := [n for n in names if n not in known]:
            raise ValueError(f"compare: cnnfast.explain has no method {missing[0]!r}; it has {', '.join(known)}")
        chosen = {n: partial(getattr(explain, n), output=output) for n in names}
    if not chosen:
        raise ValueError("compare: there are no methods to compare")
    wrong = [name for name, method in chosen.items() if not callable(method)]
    if wrong:
        raise TypeError(f"compare: method {wrong[0]!r} must be a function of model, x and target")
    return chosen, methods is not None


def _ranked(
    values: Mapping[str, Mapping[str, np.ndarray]], measures: Mapping[str, bool], seconds: Mapping[str, float]
) -> list[dict[str, Any]]:
    """A row for each method, the lowest mean rank first."""
    names = list(values)
    means = {m: np.array([values[n][m].mean() for n in names]) for m in measures}
    # Methods that agree but for rounding share their rank.
    shown = {m: np.array([float(f"{v:.4g}") for v in means[m]]) for m in measures}
    places = np.mean([ranks(-shown[m] if more else shown[m]) for m, more in measures.items()], axis=0)
    rows = [
        {"method": n, "seconds": seconds[n]}
        | {m: float(means[m][i]) for m in measures}
        | {"mean_rank": float(places[i])}
        for i, n in enumerate(names)
    ]
    return sorted(rows, key=lambda row: row["mean_rank"])


def _picture(image: np.ndarray) -> np.ndarray:
    """An image as it is drawn: (H, W) or (H, W, 3), its values stretched to [0, 1]."""
    pixels = image.astype(np.float64)
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low if high > low else 1)
    return pixels if pixels.shape[-1] == 3 else pixels.mean(-1)
