"""What a training or an evaluation leaves in a folder: tables and pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cnnfast.commands.run_folder import RunFolder
from cnnfast.image.dataset import ImageDataset
from cnnfast.models import Model
from cnnfast.training.evaluation import Evaluation

_MISTAKES = 24


def write(run: RunFolder, validation: ImageDataset) -> None:
    """Curves of all stages, and what the kept model says to the validation images."""
    from cnnfast import plots

    for result in run.results:
        figure = plots.curves(_history(run.path / f"history-{result.stage}.csv"))
        figure.savefig(run.path / f"curves-{result.stage}.png", dpi=150)
    model = run.load()
    full = evaluate(model, validation)
    print(f"kept model: validation accuracy {accuracy(full):.4f} on {len(full)} images, in {run.model_path}")
    write_evaluation(full, validation, run.path, "validation")


def evaluate(model: Model, data: ImageDataset) -> Evaluation:
    """Predictions, labels and file names."""
    return model.evaluate_full(data, verbose=0)


def accuracy(full: Evaluation) -> float:
    """The share of samples that were taken for what they are."""
    return float(np.mean(full.true_classes == full.predicted_classes))


def write_evaluation(full: Evaluation, data: ImageDataset, folder: Path, name: str) -> None:
    """The predictions as a table, the confusion matrix, and the worst mistakes as pictures."""
    from cnnfast import plots

    folder.mkdir(parents=True, exist_ok=True)
    full.save_csv(folder / f"{name}.csv")
    full.plot_confusion_matrix().savefig(folder / "confusion_matrix.png", dpi=150)
    mistakes = full.mistakes()
    worst = [mistake.sample for mistake in mistakes[:_MISTAKES]]
    if worst:
        images = data.images(worst)
        figure = plots.misclassified(
            images, full.true_classes[worst], full.predictions[worst], full.class_names, count=_MISTAKES
        )
        figure.suptitle(f"{len(mistakes)} of {len(full)} wrong, the most confident first", fontsize="medium")
        figure.savefig(folder / "mistakes.png", dpi=150)


def report(full: Evaluation) -> str:
    """Accuracy, and how each class came out."""
    counts = full.confusion_matrix()
    names = full.class_names or [str(i) for i in range(len(counts))]
    width = max(len("class"), *(len(name) for name in names))
    lines = [
        f"accuracy {accuracy(full):.4f} on {len(full)} images",
        "",
        f"{'class':<{width}}  images  recall  precision",
    ]
    for i, name in enumerate(names):
        lines.append(
            f"{name:<{width}}  {counts[i].sum():6d}  {_share(counts[i, i], counts[i].sum())}  "
            f"{_share(counts[i, i], counts[:, i].sum()):>9}"
        )
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:6.4f}" if whole else "     -"


def _history(path: Path) -> dict[str, list[float]]:
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    return {name: [float(row[i]) for row in rows[1:]] for i, name in enumerate(rows[0]) if name != "epoch"}
