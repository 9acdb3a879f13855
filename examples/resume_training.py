"""Training that is interrupted after two epochs and goes on as if nothing had happened, bit for bit."""

import tempfile
from pathlib import Path

import numpy as np

import cnnfast
from cnnfast import callbacks, layers

(x, y), _ = cnnfast.datasets.digits()
x = x[:1000, ..., None]
y = y[:1000]


def fresh_model():
    cnnfast.utils.set_random_seed(3)
    model = cnnfast.Sequential(
        [
            cnnfast.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class PowerCut(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


straight = fresh_model()
straight.fit(x, y, epochs=4, verbose=2)

with tempfile.TemporaryDirectory() as folder:
    backup = Path(folder) / "backup"
    interrupted = fresh_model()
    try:
        interrupted.fit(x, y, epochs=4, verbose=2, callbacks=[callbacks.BackupAndRestore(backup), PowerCut()])
    except KeyboardInterrupt:
        print("interrupted")
    resumed = fresh_model()
    resumed.fit(x, y, epochs=4, verbose=2, callbacks=[callbacks.BackupAndRestore(backup)])

same = all(np.array_equal(a, b) for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True))
print("the resumed weights are", "the same, bit for bit" if same else "different")
assert same
