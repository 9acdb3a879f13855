"""BackupAndRestore: training that was interrupted and resumed is, bit for bit, the uninterrupted one."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Sequential, callbacks, layers, random
from cnnfast.ops import engine
from cnnfast.optimizers import Adam
from cnnfast.utils import PyDataset

RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 6, 6, 2)).astype(np.float32)
Y = RNG.integers(0, 3, 50)


@pytest.fixture(autouse=True)
def one_thread():
    """The networks are so small that threads would only wait for each other."""
    before = engine.num_threads()
    engine.set_num_threads(1)
    yield
    engine.set_num_threads(before)


class Interruption(Exception):
    pass


class Interrupt(callbacks.Callback):
    """Raises in the middle of training, after so many batches, or at the end of an epoch."""

    def __init__(self, after_batches=None, after_epochs=None):
        super().__init__()
        self.left, self.after_epochs = after_batches, after_epochs

    def on_train_batch_end(self, batch, logs=None):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Interruption

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.after_epochs:
            raise Interruption


class Images(PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[index * 10 : index * 10 + 10], Y[index * 10 : index * 10 + 10]


def make_model(known=True):
    random.set_seed(11)
    model = Sequential(
        [
            *([Input((6, 6, 2))] if known else []),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(3, activation="softmax", name="dense"),
        ]
    )
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(folder=None, interrupt=None, known=True, data=(X, Y), save_freq="epoch", extra=(), **fit):
    """Trains a fresh model; returns it with its history (None if it was interrupted)."""
    model = make_model(known)
    given = [*extra, *([] if interrupt is None else [interrupt])]
    if folder is not None:
        given.insert(0, callbacks.BackupAndRestore(folder, save_freq=save_freq))
    try:
        return model, model.fit(*data, verbose=0, callbacks=given, **{"epochs": 5, "batch_size": 16, **fit})
    except Interruption:
        return model, None


def assert_same(resumed, whole):
    (a, history), (b, expected) = resumed, whole
    for w, v in zip(a.get_weights(), b.get_weights(), strict=True):
        assert w.tobytes() == v.tobytes()
    assert history.epoch == expected.epoch and history.history == expected.history
    assert a.optimizer.iterations == b.optimizer.iterations
    for slot, other in zip(a.optimizer.variables, b.optimizer.variables, strict=True):
        assert slot.value.tobytes() == other.value.tobytes()


@pytest.mark.parametrize(
    "fit",
    [
        {},
        {"known": False},
        {"validation_split": 0.2},
        {"steps_per_epoch": 3},
        {"data": (Images(),), "batch_size": None},
        {"extra": (callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7),)},
    ],
    ids=lambda fit: "-".join(fit) or "plain",
)
def test_training_resumed_after_epoch_3_is_the_uninterrupted_one(fit, tmp_path):
    whole = train(**fit)
    assert train(tmp_path, Interrupt(after_epochs=3), **fit)[1] is None
    random.set_seed(99)  # another process would be elsewhere
    assert_same(train(tmp_path, **fit), whole)


@pytest.mark.parametrize("after", [2, 7, 9])
@pytest.mark.parametrize("fit", [{}, {"steps_per_epoch": 3}, {"data": (Images(),), "batch_size": None}], ids=str)
def test_training_resumed_in_the_middle_of_an_epoch_is_the_uninterrupted_one(fit, after, tmp_path):
    whole = train(**fit)
    assert train(tmp_path, Interrupt(after_batches=after), save_freq=2, **fit)[1] is None
    assert_same(train(tmp_path, save_freq=2, **fit), whole)


def test_callbacks_remember_what_they_knew(tmp_path):
    def watching():
        return (
            callbacks.EarlyStopping("loss", patience=2, min_delta=0.2, restore_best_weights=True),
            callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.1),
            callbacks.CSVLogger(tmp_path / "log.csv"),
        )

    whole = train(extra=watching(), epochs=12)
    lines = (tmp_path / "log.csv").read_text()
    assert 4 < len(whole[1].epoch) < 12
    assert train(tmp_path / "b", Interrupt(after_epochs=4), extra=watching(), epochs=12)[1] is None
    assert_same(train(tmp_path / "b", extra=watching(), epochs=12), whole)
    assert (tmp_path / "log.csv").read_text() == lines


def test_checkpoints_are_deleted_at_the_end_unless_they_are_wanted(tmp_path):
    train(tmp_path, epochs=1)
    assert not list(tmp_path.iterdir())
    keep = callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)
    train(extra=(keep,), epochs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.safetensors", "previous.safetensors"]


def test_a_damaged_checkpoint_is_an_error_and_changes_nothing(tmp_path):
    train(tmp_path, Interrupt(after_epochs=2))
    latest = tmp_path / "latest.safetensors"
    latest.write_bytes(latest.read_bytes()[:200])
    model = make_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"latest\.safetensors"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])
    assert all(w.tobytes() == v.tobytes() for w, v in zip(model.get_weights(), before, strict=True))
    assert latest.exists()


def test_the_checkpoint_before_serves_if_the_last_is_damaged(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, double_checkpoint=True)

    whole = train()
    train(extra=(backup(),), interrupt=Interrupt(after_epochs=3))
    (tmp_path / "latest.safetensors").write_bytes(b"damaged")
    assert_same(train(extra=(backup(),)), whole)


def test_an_empty_folder_name_is_refused():
    with pytest.raises(ValueError, match="backup_dir must not be empty"):
        callbacks.BackupAndRestore("")
