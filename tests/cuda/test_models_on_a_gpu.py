"""Models on a GPU do what they do on the CPU: the same outputs, the same training, the same refusals."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import config, layers
from cnnfast.ops import engine
from cnnfast.training.errors import NonFiniteLoss
from tests.peers import networks

#: of the largest output: sums in another order; factors of 11 bits; numbers of 8 bits through a dozen ops
OUTPUTS = {"float32": 1e-5, "tensorfloat32": 5e-3, "mixed_bfloat16": 6e-2}


#: On the host's emulation of a GPU a network takes seconds: there, two of each kind are the quick ones.
SEEDS = [seed if seed < 2 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(8)]


def _network(seed: int, kind: str = "narrow"):
    net = networks.random_network(seed, groups=True) if kind == "narrow" else networks.wide_network(seed)
    model = networks.build_keras_like(net, cnnfast)
    model.set_weights(networks.random_weights(model, seed))
    return net, model


def _on_cpu(function):
    before = cnnfast.device()
    cnnfast.set_device("cpu")
    try:
        return function()
    finally:
        cnnfast.set_device(before)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["narrow", "wide"])
def test_outputs_agree_with_the_cpu(policy, kind, seed):
    net, model = _network(seed, kind)
    ((x, _),) = networks.data(net, seed, 1)
    exact = _on_cpu(lambda: model.predict_on_batch(x))
    for _ in range(3):  # the second run is captured, the third launches what was
        found = model.predict_on_batch(x)
        assert np.max(np.abs(found - exact)) <= OUTPUTS[policy] * np.max(np.abs(exact))


def _train(seed, kind, optimizer, steps=5):
    net, model = _network(seed, kind)
    model.compile(optimizer(), cnnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    return [model.train_on_batch(x, y) for x, y in networks.data(net, seed, steps)], model.get_weights()


OPTIMIZERS = {
    "sgd": lambda: cnnfast.optimizers.SGD(0.01, momentum=0.9, nesterov=True, clipnorm=5.0),
    "adam": lambda: cnnfast.optimizers.Adam(1e-3, epsilon=1e-3, global_clipnorm=5.0, weight_decay=1e-3),
    "rmsprop": lambda: cnnfast.optimizers.RMSprop(1e-3, epsilon=1e-3, momentum=0.5),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["narrow", pytest.param("wide", marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_weights_agree_with_the_cpu_after_five_steps(gpu, kind, seed, optimizer):
    config.set_policy("float32")
    losses, weights = _train(seed, kind, OPTIMIZERS[optimizer])
    exact_losses, exact = _on_cpu(lambda: _train(seed, kind, OPTIMIZERS[optimizer]))
    assert np.allclose(losses, exact_losses, rtol=1e-3, atol=1e-4)
    networks.assert_same_weights(weights, exact, 1e-3)


def _classifier(dropout=0.3, **options):
    cnnfast.utils.set_random_seed(1)
    model = cnnfast.Sequential(
        [
            cnnfast.Input((12, 12, 3)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(
        **{"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **options}
    )
    return model


def _data(n=64):
    """Four classes: which quarter of the image is bright."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((n, 12, 12, 3)).astype(np.float32), rng.integers(0, 4, n)
    for i, k in enumerate(y):
        x[i, 6 * (k // 2) : 6 * (k // 2) + 6, 6 * (k % 2) : 6 * (k % 2) + 6] += 2
    return x, y


def test_training_learns_whatever_the_policy(policy):
    x, y = _data(192)
    model = _classifier()
    history = model.fit(x, y, batch_size=32, epochs=10, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.9


def test_training_gives_the_same_bits_each_time(policy):
    def train():
        x, y = _data()
        model = _classifier()
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        return [w.tobytes() for w in model.get_weights()]

    assert train() == train()


def test_dropout_drops_what_it_drops_on_the_cpu(gpu):
    config.set_policy("float32")
    x, y = _data()

    def losses():
        model = _classifier(optimizer=cnnfast.optimizers.SGD(0.0))
        return [model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(4)]

    assert np.allclose(losses(), _on_cpu(losses), rtol=1e-5)


def test_batches_of_changing_size_are_each_right(gpu):
    config.set_policy("float32")
    x, _ = _data()
    model = _classifier()
    exact = _on_cpu(lambda: model.predict_on_batch(x))
    for n in (8, 5, 8, 64, 5, 1, 8, 64, 1):
        assert np.allclose(model.predict_on_batch(x[:n]), exact[:n], atol=1e-5)


def test_two_models_train_in_turns_as_each_does_alone(gpu):
    x, y = _data()

    def made(rate):
        return _classifier(dropout=0.0, optimizer=cnnfast.optimizers.SGD(rate))

    def trained_alone(rate):
        model = made(rate)
        for _ in range(4):
            model.train_on_batch(x, y)
        return [w.tobytes() for w in model.get_weights()]

    models = [made(0.1), made(0.01)]
    for _ in range(4):
        for model in models:
            model.train_on_batch(x, y)
    found = [[w.tobytes() for w in model.get_weights()] for model in models]
    assert found == [trained_alone(0.1), trained_alone(0.01)]
    assert found[0] != found[1]


def test_training_may_move_between_devices(gpu):
    config.set_policy("float32")
    x, y = _data()

    def train(devices):
        model = _classifier(dropout=0.0, optimizer=cnnfast.optimizers.SGD(0.05, momentum=0.9))
        for name in devices:
            cnnfast.set_device(name)
            model.train_on_batch(x, y)
        cnnfast.set_device("cuda")
        return model.get_weights()

    moved = train(["cpu", "cuda", "cuda", "cpu", "cuda", "cpu", "cpu"])
    networks.assert_same_weights(moved, train(["cpu"] * 7), 1e-4)


def test_weights_that_are_set_are_used_at_once(gpu):
    x, _ = _data()
    model, other = _classifier(), _classifier()
    other.set_weights([w * 0.5 for w in model.get_weights()])
    expected = [other.predict_on_batch(x) for _ in range(2)][1]
    model.predict_on_batch(x)
    model.set_weights(other.get_weights())
    assert model.predict_on_batch(x).tobytes() == expected.tobytes()


def test_a_saved_model_has_the_weights_of_the_gpu(gpu, tmp_path):
    x, y = _data()
    model = _classifier()
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.safetensors")
    loaded = cnnfast.load_model(tmp_path / "model.safetensors")
    assert loaded.predict_on_batch(x).tobytes() == model.predict_on_batch(x).tobytes()


@pytest.mark.parametrize("bad", [-1, 4, 2**31 - 1])
def test_a_class_that_does_not_exist_is_refused_and_changes_nothing(gpu, bad):
    x, y = _data()
    model = _classifier()
    for _ in range(3):
        model.train_on_batch(x, y)
    before = [w.tobytes() for w in model.get_weights()]
    wrong = y.copy()
    wrong[5] = bad
    with pytest.raises(ValueError, match=r"classes must lie in \[0, 3\]|between 0 and 3|outside"):
        model.train_on_batch(x, wrong)
    assert [w.tobytes() for w in model.get_weights()] == before
    model.train_on_batch(x, y)


def test_a_loss_that_is_not_finite_updates_nothing(gpu):
    x, y = _data()
    model = _classifier()
    for _ in range(3):
        model.train_on_batch(x, y)
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(NonFiniteLoss):
        model.train_on_batch(x * np.float32(np.nan), y)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert np.isfinite(model.train_on_batch(x, y)[0])


def test_a_loss_written_in_numpy_trains(gpu):
    config.set_policy("float32")
    x, y = _data()
    targets = np.eye(4, dtype=np.float32)[y]

    def square(y_true, y_pred):
        return float(np.mean((y_pred - y_true) ** 2)), 2 * (y_pred - y_true) / y_pred.size

    def losses(loss):
        model = _classifier(dropout=0.0, optimizer=cnnfast.optimizers.SGD(0.5), loss=loss)
        return [model.train_on_batch(x, targets, return_dict=True)["loss"] for _ in range(4)]

    assert np.allclose(losses(square), losses("mse"), rtol=1e-4)


def test_images_of_8_bits_go_there_as_they_are(policy):
    x = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), np.uint8)
    model = cnnfast.Sequential([cnnfast.Input((12, 12, 3)), layers.Rescaling(1 / 255), layers.Conv2D(5, 3)])
    exact = _on_cpu(lambda: model.predict_on_batch(x))
    assert np.max(np.abs(model.predict_on_batch(x) - exact)) <= OUTPUTS[policy] * np.max(np.abs(exact))


def test_heatmaps_are_those_of_the_cpu(gpu):
    from cnnfast import explain

    config.set_policy("float32")
    x, _ = _data(4)
    model = _classifier()
    maps = explain.gradcam(model, x, target=1)
    exact = _on_cpu(lambda: explain.gradcam(model, x, target=1))
    assert np.allclose(np.asarray(maps), np.asarray(exact), atol=1e-4 * np.max(np.abs(np.asarray(exact))))


def test_a_policy_of_one_model_leaves_others_alone(gpu):
    config.set_policy("float32")
    x, _ = _data()
    plain, mixed = _classifier(), _classifier(policy="mixed_bfloat16")
    exact = plain.predict_on_batch(x)
    rounded = mixed.predict_on_batch(x)
    assert rounded.tobytes() != exact.tobytes()
    assert np.allclose(rounded, exact, atol=0.06)
    assert plain.predict_on_batch(x).tobytes() == exact.tobytes()


@pytest.mark.parametrize(("all_models", "this_model"), [("float32", "tensorfloat32"), ("tensorfloat32", "float32")])
def test_a_model_computes_by_its_own_policy_whatever_is_set_for_all(gpu, all_models, this_model):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 28, 28, 16)).astype(np.float32), rng.integers(0, 4, 8)

    def trained(for_all, own):
        config.set_policy(for_all)
        cnnfast.utils.set_random_seed(1)
        stack = [layers.Conv2D(32, 3, padding="same"), layers.GlobalAveragePooling2D(), layers.Dense(4)]
        model = cnnfast.Sequential([cnnfast.Input(x.shape[1:]), *stack])
        loss = cnnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(cnnfast.optimizers.SGD(0.05), loss, policy=own)
        for _ in range(3):
            model.train_on_batch(x, y)
        return [w.tobytes() for w in model.get_weights()]

    assert trained(all_models, this_model) == trained(this_model, None)


def test_a_loss_in_numpy_sees_the_outputs_of_its_own_step(policy):
    """Also where the output is bfloat16 and must be cast before the loss can read it."""
    x, _ = _data(8)
    targets = np.random.default_rng(1).standard_normal((8, 12, 12, 2)).astype(np.float32)

    def square(y_true, y_pred):
        return float(np.mean((y_pred - y_true) ** 2)), 2 * (y_pred - y_true) / y_pred.size

    def losses(loss):
        cnnfast.utils.set_random_seed(1)
        model = cnnfast.Sequential([cnnfast.Input((12, 12, 3)), layers.Conv2D(2, 3, padding="same")])
        model.compile(cnnfast.optimizers.SGD(1.0), loss)
        return [model.train_on_batch(x + i, targets, return_dict=True)["loss"] for i in range(4)]

    assert np.allclose(losses(square), losses("mse"), rtol=2e-2)


def test_saliency_of_a_rounded_output_is_that_of_the_cpu(policy):
    from cnnfast import explain

    x, _ = _data(2)
    stack = [layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Activation("tanh")]
    model = cnnfast.Sequential([cnnfast.Input((12, 12, 3)), *stack])
    maps = np.asarray(explain.saliency(model, x, target=1))
    exact = np.asarray(_on_cpu(lambda: explain.saliency(model, x, target=1)))
    assert np.max(np.abs(maps - exact)) <= 0.1 * np.max(exact)


def test_weights_that_change_are_folded_again_without_the_images(gpu, monkeypatch):
    x, y = _data(8)
    model = _classifier()
    model.predict_on_batch(x)
    program = next(p for k, p in model._engine._programs.items() if "predict" in k)
    runs = []

    class Watched:
        def __init__(self, engine):
            self._engine = engine

        def run(self, feeds, fetch, *rest):
            runs.append((len(feeds), len(fetch)))
            return self._engine.run(feeds, fetch, *rest)

    model.train_on_batch(x, y)
    monkeypatch.setattr(program, "_engine", Watched(program._engine))
    model.predict_on_batch(x)
    assert runs[-1] == (1, 1)
    assert all(run == (0, 0) for run in runs[:-1])
    assert len(runs) <= 3


def test_too_little_memory_is_said_and_leaves_models_usable(gpu):
    x, _ = _data()
    model = _classifier()
    before = model.predict_on_batch(x)
    with pytest.raises(
        cnnfast.DeviceError, match=r"out of memory on cuda:0: asked for 33554432 MiB, \d+ MiB of \d+ MiB"
    ):
        engine.DeviceArray("cuda", 2**45)
    assert model.predict_on_batch(x).tobytes() == before.tobytes()


def test_a_gpu_that_is_not_there_is_refused(gpu):
    with pytest.raises(cnnfast.DeviceError, match="there is no cuda:99; GPUs here: "):
        cnnfast.set_device("cuda:99")
    assert cnnfast.device() == "cuda:0"


def test_devices_describe_the_gpu(gpu):
    found = {d.name: d for d in cnnfast.devices()}
    assert found["cuda:0"].memory_bytes > 0
    assert found["cuda:0"].capability >= (8, 0)
