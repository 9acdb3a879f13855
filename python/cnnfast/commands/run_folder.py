"""The folder of a training: its settings, what is finished of it, and the best model so far."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnfast.formats import load_model, strict_json
from cnnfast.formats.atomic import atomic_write
from cnnfast.models import Model

VERSION = 1
_NOTES = "run.json"
_MODEL = "model.safetensors"
_WORK = "work"


@dataclass(frozen=True)
class Settings:
    """What a training was asked for; see `cnnfast train --help`. Paths are absolute, so that it can go on anywhere."""

    directory: str
    validation: str | None
    base: str | None
    weights: str | None
    variant: str | None
    augment: str | None
    fine_tune: str | None
    image_size: int
    batch_size: int
    epochs: int
    fine_tune_epochs: int
    learning_rate: float
    fine_tune_learning_rate: float
    patience: int
    seed: int
    on_error: str

    def differences(self, other: Settings) -> list[str]:
        """What is different, in words."""
        mine, others = asdict(self), asdict(other)
        return [f"{name} {value!r}, now {others[name]!r}" for name, value in mine.items() if value != others[name]]


@dataclass(frozen=True)
class StageResult:
    """What a stage of a training came to.

    Attributes:
        stage: its name.
        epochs: how many it ran.
        best_epoch: the one, from 1, whose weights were kept.
        val_accuracy, val_loss: of that epoch.
        last_val_accuracy: of the last one.
        seconds: of all its epochs, those before an interruption included, and of the features before them.
    """

    stage: str
    epochs: int
    best_epoch: int
    val_accuracy: float
    val_loss: float
    last_val_accuracy: float
    seconds: float


class RunFolder:
    """A folder that holds one training.

    Args:
        path: the folder; made if it is not there.
        settings: of the training; None to go on with what lies in the folder.

    Raises:
        ValueError: another training lies there, or none and no settings are given, or its notes are damaged.

    Attributes:
        path, settings: the folder and what the training in it was asked for.
        results: of the stages that are finished.
    """

    def __init__(self, path: Path, settings: Settings | None):
        self.path = path
        notes = path / _NOTES
        if notes.exists():
            found, self.results = _read_notes(notes)
            if settings is not None and (differences := found.differences(settings)):
                raise ValueError(f"{path} holds another training ({'; '.join(differences)}): name another folder")
            self.settings = found
            return
        if settings is None:
            raise ValueError(f"{path} holds no training that could go on; name a folder of images to begin one")
        self.settings, self.results = settings, []
        path.mkdir(parents=True, exist_ok=True)
        self._write_notes()

    @property
    def model_path(self) -> Path:
        """The file of the best model so far."""
        return self.path / _MODEL

    def folder_of(self, stage: str) -> Path:
        """A folder for what one stage keeps while it runs."""
        folder = self.path / _WORK / stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clean_up(self, stage: str) -> None:
        """Removes what a stage kept while it ran."""
        shutil.rmtree(self.folder_of(stage))
        with contextlib.suppress(OSError):  # another stage's is still there
            (self.path / _WORK).rmdir()

    def has(self, stage: str) -> bool:
        """Whether a stage is finished."""
        return any(result.stage == stage for result in self.results)

    def load(self) -> Model:
        """The best model so far."""
        return load_model(self.model_path)

    def finish(self, model: Model, result: StageResult, history: dict[str, list[float]]) -> None:
        """Notes that a stage is finished, and keeps its model if it is the best so far."""
        if all(result.val_accuracy > other.val_accuracy for other in self.results):
            model.save(self.model_path, include_optimizer=False)
        with atomic_write(self.path / f"history-{result.stage}.csv") as temporary, open(temporary, "w") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", *history])
            writer.writerows([i + 1, *values] for i, values in enumerate(zip(*history.values(), strict=True)))
        self.results.append(result)
        self._write_notes()

    def _write_notes(self) -> None:
        notes = {
            "version": VERSION,
            "settings": asdict(self.settings),
            "stages": [asdict(result) for result in self.results],
        }
        with atomic_write(self.path / _NOTES) as temporary:
            Path(temporary).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")


def _read_notes(path: Path) -> tuple[Settings, list[StageResult]]:
    notes: Any = strict_json.parse(path.read_text(encoding="utf-8"), str(path))
    version = strict_json.member(str(path), notes, "version", int)
    if version != VERSION:
        raise ValueError(f"{path} has version {version}, this package reads version {VERSION}")
    settings = strict_json.member(str(path), notes, "settings", dict)
    stages = strict_json.member(str(path), notes, "stages", list)
    try:
        return Settings(**settings), [StageResult(**stage) for stage in stages]
    except TypeError as error:
        raise ValueError(f"{path} does not describe a training: {error}") from None
