"""The randomisation test makes a copy forget, layer by layer, and measures what that does to explanations."""

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.explain import sanity
from cnnfast.explain.cam import gradcam
from tests.explain.networks import images, small_convnet


def weights_seen(model, x, mode, **options):
    """The copy's weights at each step, and the result."""
    seen = []

    def method(model, x, target):
        seen.append({layer.name: layer.get_weights() for layer in model.layers if layer.weights})
        return np.abs(x).sum(3)

    result = sanity.model_randomisation(method, model, x, mode=mode, **options)
    return seen, result


def changed(a, b):
    return [name for name in a if any(not np.array_equal(u, v) for u, v in zip(a[name], b[name], strict=True))]


def test_layers_forget_from_the_top_one_after_the_other():
    (trained, *steps), result = weights_seen(small_convnet(), images(2), "cascading")
    assert result.layers == ["scores", "conv2", "bn", "conv1"]
    forgotten = [sorted(changed(trained, step)) for step in steps]
    assert forgotten == [sorted(result.layers[: i + 1]) for i in range(4)]


def test_independently_each_layer_forgets_the_same_alone():
    (trained, *steps), result = weights_seen(small_convnet(), images(2), "independent")
    assert [changed(trained, step) for step in steps] == [[name] for name in result.layers]
    (_, *cascade), _ = weights_seen(small_convnet(), images(2), "cascading")
    for name, step in zip(result.layers, steps, strict=True):
        assert not changed({name: step[name]}, {name: cascade[-1][name]})


def test_what_is_forgotten_is_what_initializers_make():
    (_, *steps), _ = weights_seen(small_convnet(), images(2), "cascading")
    kernel, bias = steps[-1]["conv1"]
    assert not bias.any() and np.abs(kernel).max() <= np.sqrt(6 / (27 + 72))  # glorot_uniform
    gamma, beta, mean, variance = steps[-1]["bn"]
    assert (gamma == 1).all() and (beta == 0).all() and (mean == 0).all() and (variance == 1).all()


def test_weights_without_an_initializer_are_shuffled():
    class Mix(layers.Layer):
        def build(self, input_shape):
            self.shares = self.add_weight((8, 4), "ones", name="shares")

        def call(self, x):
            return ops.dense(x, self.shares)

    model = cnnfast.Sequential([cnnfast.Input((2, 2, 2)), layers.Flatten(), Mix(name="mix"), layers.Dense(2)])
    values = np.arange(32, dtype=np.float32).reshape(8, 4)
    model.get_layer("mix").set_weights([values])
    (_, *steps), result = weights_seen(model, np.ones((1, 2, 2, 2)), "independent")
    assert result.layers[1] == "mix"
    (found,) = steps[1]["mix"]
    assert not np.array_equal(found, values) and np.array_equal(np.sort(found, axis=None), values.reshape(-1))


def test_the_given_model_and_the_random_generator_stay_as_they_are():
    model = small_convnet()
    before, state = model.get_weights(), cnnfast.random.get_state()
    sanity.model_randomisation(gradcam, model, images(2))
    assert cnnfast.random.get_state() == state
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_seed_gives_the_same_and_another_does_not():
    one, same, other = (
        sanity.model_randomisation(gradcam, small_convnet(), images(3), 1, seed=s).spearman for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_method_that_looks_at_the_image_alone_stays_the_same_and_one_of_the_model_does_not():
    x = images(3)
    blind = sanity.model_randomisation(lambda m, x, t: x, small_convnet(), x)
    np.testing.assert_allclose(blind.spearman, 1, rtol=1e-12)
    np.testing.assert_allclose(blind.ssim, 1, rtol=1e-12)
    assert np.abs(sanity.model_randomisation(gradcam, small_convnet(), x).spearman[-1]).max() < 0.9


def test_nested_models_forget_too():
    flat = small_convnet()
    base = cnnfast.Model(flat.inputs[0], flat.get_layer("relu2").output, name="base")
    nested = cnnfast.Sequential([cnnfast.Input((12, 10, 3)), base, flat.get_layer("mean"), flat.get_layer("scores")])
    expected = sanity.model_randomisation(gradcam, flat, images(2), 1)
    found = sanity.model_randomisation(gradcam, nested, images(2), 1)
    assert found.layers == ["scores", "base/conv2", "base/bn", "base/conv1"]
    np.testing.assert_array_equal(found.spearman, expected.spearman)


def test_ranks_of_equal_values_are_shared():
    np.testing.assert_array_equal(sanity.ranks(np.array([3.0, 1, 3, 0, 3])), [4, 2, 4, 1, 4])


def test_rank_correlation_is_exact():
    a = np.array([[[1.0, 2, 3], [4, 5, 6]]])
    b = np.array([[[1.0, 3, 2], [4, 6, 5]]])
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 0 1 1 0 1 1
    np.testing.assert_allclose(sanity.rank_correlation(a, b), 1 - 24 / 210, rtol=1e-14)
    assert sanity.rank_correlation(a, np.ones_like(a)) == 0


def test_structural_similarity_of_one_window_is_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 11, 11))
    for m in (a, b):
        m[0, 0], m[5, 5] = 0, 1
    offsets = np.arange(-5, 6)
    w = np.exp(-np.add.outer(offsets**2, offsets**2) / 4.5)
    w /= w.sum()
    ma, mb = (w * a).sum(), (w * b).sum()
    va, vb, both = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum()
    expected = (2 * ma * mb + 1e-4) * (2 * both + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    np.testing.assert_allclose(sanity.structural_similarity(a[None], 5 * b[None] - 2), expected, rtol=1e-5)


def test_structural_similarity_of_small_and_of_flat_maps():
    ramp = np.arange(12.0).reshape(1, 4, 3)
    np.testing.assert_allclose(sanity.structural_similarity(ramp, ramp), 1)
    assert sanity.structural_similarity(ramp, -ramp) < 0.1
    assert sanity.structural_similarity(ramp, np.ones_like(ramp)) == 0


def test_bad_arguments_are_named():
    model, x = small_convnet(), images(2)
    with pytest.raises(ValueError, match="mode must be 'cascading' or 'independent', got 'top'"):
        sanity.model_randomisation(gradcam, model, x, mode="top")
    with pytest.raises(ValueError, match=r"maps must be \(N,H,W\) or \(N,H,W,C\), got \(2,\)"):
        sanity.model_randomisation(lambda m, x, t: np.ones(2), model, x)
    with pytest.raises(ValueError, match="seed must lie in"):
        sanity.model_randomisation(gradcam, model, x, seed=-1)
    with pytest.raises(ValueError, match="rank_correlation: images"):
        sanity.rank_correlation(np.ones((1, 2, 2)), np.ones((1, 2, 3)))
