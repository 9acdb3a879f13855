"""A folder of pictures, one folder for each class: train, and see which files are taken for something else.

python examples/image_folder.py            # draws its own pictures
python examples/image_folder.py PHOTOS     # a folder with a folder for each class
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cnnfast import Input, Sequential, layers, utils
from cnnfast.image import image_dataset_from_directory, save_img


def draw_pictures(folder: Path, count: int = 60) -> None:
    """Stripes that lie or stand, of any colour and width, with noise."""
    generator = np.random.default_rng(0)
    for name in "lying", "standing":
        (folder / name).mkdir(parents=True)
        for i in range(count):
            width, shift = generator.uniform(3, 8), generator.uniform(0, 16)
            stripes = (np.arange(48)[:, None] + shift) / width % 2 < 1
            picture = generator.normal(60, 40, (48, 48, 3)) + stripes[..., None] * generator.integers(40, 160, 3)
            picture = picture if name == "lying" else picture.transpose(1, 0, 2)
            save_img(folder / name / f"{i}.jpg", picture.clip(0, 255), scale=False)


def main(folder: Path) -> None:
    utils.set_random_seed(1)
    train, val = image_dataset_from_directory(
        folder, image_size=(64, 64), batch_size=16, validation_split=0.25, subset="both", seed=1, on_error="warn"
    )
    begin = time.perf_counter()
    for _ in train:
        pass
    print(f"reading alone: {train.samples / (time.perf_counter() - begin):.0f} images/s")
    model = Sequential([Input((64, 64, 3)), layers.Rescaling(1 / 255)])
    for filters in 16, 32, 64:
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(len(train.class_names), activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, validation_data=val, epochs=10, verbose=2)

    full = model.evaluate_full(val, verbose=0)
    print(full.class_names, full.confusion_matrix(), sep="\n")
    for mistake in full.mistakes()[:5]:
        print(f"{mistake.filename}: {mistake.true}, taken for {mistake.predicted} ({mistake.score:.0%})")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            draw_pictures(Path(made) / "pictures")
            main(Path(made) / "pictures")
