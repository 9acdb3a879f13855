"""`cnnfast explain`: what in images makes a model say what it says."""

from __future__ import annotations

import argparse
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.commands import arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnfast.models import Model

#: Functions of `cnnfast.explain` that give a map (N, H, W), or a number for every number of the images (N, H, W, C).
METHODS = (
    "gradcam", "gradcam_plus_plus", "hirescam", "xgradcam", "layercam", "elementwise_cam", "scorecam", "ablationcam",
    "eigencam", "eigen_gradcam", "cam", "fullgrad", "saliency", "gradient_x_input", "smoothgrad", "vargrad",
    "integrated_gradients", "guided_backprop", "deconvnet", "guided_gradcam", "occlusion", "rise", "lime",
    "kernel_shap",
)  # fmt: skip

_EPILOG = """\
MODEL is a .safetensors file that holds a whole model, the folder of a training, or a network's name, as resnet50, whose
weights --weights gives. For each image a picture is written, of the image as the model takes it beside what explains
the class. Files that cannot be read are named and left out; the exit status is then 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cnnfast explain` to a parser."""
    parser.epilog = _EPILOG
    parser.add_argument("model", metavar="MODEL", help="a model's file, the folder of a training, or a network's name")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files, or folders of them")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="how to explain (%(default)s)")
    parser.add_argument(
        "--layer", action="append", metavar="NAME",
        help="whose maps to look at; repeated, the mean of all (the last convolution's)",
    )  # fmt: skip
    parser.add_argument("--target", metavar="CLASS", help="name or number of the class (the one with the best score)")
    parser.add_argument(
        "--out", type=Path, default=Path("explanations"), metavar="DIR", help="where to write (%(default)s)"
    )
    parser.add_argument("--raw", action="store_true", help="write the numbers too, as .npy")
    parser.add_argument("--weights", metavar="FILE", help="of a named network (the official ones, downloaded once)")
    parser.add_argument("--variant", metavar="NAME", help="keras or torchvision, where the file does not tell")
    parser.add_argument("--batch-size", type=arguments.positive, default=32, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--threads", type=arguments.positive, metavar="N", help="threads to compute with (all that are allowed)"
    )


def main(args: argparse.Namespace) -> int:
    """Writes a picture for each image and prints its name; 1 if any image could not be read.

    Raises:
        ValueError: no model in the file, a model that does not classify images, a class or a layer that is not there.
        OSError: a file that is not there.
    """
    from cnnfast import explain
    from cnnfast.commands import data

    arguments.use_threads(args.threads)
    method: Callable[..., np.ndarray] = getattr(explain, args.method)
    options = _options(args, method)
    model = _model(args)
    images = data.images_named(model, args.images, batch_size=args.batch_size)
    arguments.name_skipped(images)
    outputs = _outputs(images.file_paths, args.out, args.method)
    args.out.mkdir(parents=True, exist_ok=True)
    for batch in images:
        scores = data.class_scores(model, np.asarray(model.predict_on_batch(batch)))
        names = model.class_names or [str(i) for i in range(scores.shape[1])]
        best = scores.argmax(1)
        classes = best if args.target is None else np.full(len(batch), _class(args.target, names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", explain.ExplanationWarning)  # said below, with the name of the file
            values = method(model, batch, classes.tolist(), **options)
        for image, value, score, c, taken in zip(batch, values, scores, classes, best, strict=True):
            path, out = next(outputs)
            if not value.any():
                print(f"{path}: nothing in its map speaks for {names[c]}", file=sys.stderr)
            title = f"{names[c]} {_share(score[c])}"
            if c != taken:
                title += f"\ntaken for {names[taken]} {_share(score[taken])}"
            _figure(image, value, f"{title}\n{args.method}").savefig(out)
            if args.raw:
                np.save(out.with_suffix(".npy"), value)
            print(f"{out}  {title}".replace("\n", ", "))
    return 1 if images.skipped else 0


def _model(args: argparse.Namespace) -> Model:
    """The model in a file, or a network of `applications` that takes images as files have them, 0 to 255."""
    from cnnfast import applications, layers
    from cnnfast.applications.imagenet_utils import imagenet_classes
    from cnnfast.formats import load_model
    from cnnfast.models import Sequential

    path = Path(args.model)
    if path.exists() or path.suffix == ".safetensors":
        if given := [name for name in ("weights", "variant") if getattr(args, name) is not None]:
            raise ValueError(f"--{given[0]} is for a network's name; {args.model} is a file or folder with a model")
        return load_model(arguments.model_file(path))
    try:
        build = applications.get(args.model)
    except ValueError as error:
        raise ValueError(f"there is no file or folder {args.model}, and no network of that name: {error}") from None
    network = build(weights=args.weights or "imagenet", variant=args.variant)
    assert network.preprocessing is not None  # all networks of `applications` know theirs
    model = Sequential([layers.Input(network.input_shape[1:]), layers.Preprocess(network.preprocessing), network])
    model.class_names = [name for _, name in imagenet_classes()]
    return model


def _options(args: argparse.Namespace, method: Callable[..., np.ndarray]) -> dict[str, Any]:
    """What the method is called with besides model, images and classes: values as they are, not scaled."""
    known = inspect.signature(method).parameters
    options: dict[str, Any] = {"batch_size": args.batch_size}
    if "normalize" in known:
        options["normalize"] = False
    if args.layer is not None:
        if "layer" not in known:
            raise ValueError(f"--layer: {args.method} looks at no layer")
        options["layer"] = args.layer
    return options


def _share(value: float) -> str:
    """With four digits; what they would round to 0 is said to be below."""
    return "<0.0001" if 0 < value < 0.00005 else f"{value:.4f}"


def _class(target: str, names: Sequence[str]) -> int:
    """The class that is meant by its name or number."""
    if target in names:
        return list(names).index(target)
    if target.isdecimal() and int(target) < len(names):
        return int(target)
    known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise ValueError(f"--target: there is no class {target!r}; the model has 0 to {len(names) - 1}: {known}")


def _outputs(paths: Sequence[str], folder: Path, method: str) -> Iterator[tuple[str, Path]]:
    """Each image and the picture to write: images whose name another has, in another folder or form, are numbered."""
    used: set[str] = set()
    for path in paths:
        stem = Path(path).stem
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        used.add(name := next(name for name in names if name not in used))
        yield path, folder / f"{name}-{method}.png"


def _figure(image: np.ndarray, values: np.ndarray, title: str) -> Figure:
    """An image uint8 (H, W, C), and beside it the same with the values (H, W) or (H, W, C) over it."""
    from cnnfast import plots
    from cnnfast.plots._style import new_figure, plain

    picture = image[..., :3] if image.shape[-1] == 4 else image
    height = 4 * float(np.clip(image.shape[0] / image.shape[1], 0.25, 4))
    figure = new_figure(9, height + 0.6)
    left, right = figure.subplots(1, 2)
    left.imshow(picture, cmap="gray", vmin=0, vmax=255)
    left.set_axis_off()
    if (values >= 0).all():
        values = values if values.ndim == 2 else values.sum(2)
        plots.overlay(picture, values, ax=right, limits=(0, float(values.max()) or 1.0))
    else:
        plots.attribution(picture, values, ax=right)
    figure.suptitle(plain(title), fontsize="medium")
    return figure
