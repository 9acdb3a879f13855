"""Learning rates that differ between layers."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Sequential, layers, multipliers, optimizers
from cnnfast.graph import Graph
from cnnfast.graph.program import Program
from tests.optimizer_cases import CASES, Training, assert_close, case_id, numbers
from tests.oracle.optimizers import train

FACTORS = [1.0, 0.1, 10.0, 0.0, 0.3]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_weight_with_a_factor_learns_as_with_another_rate(rng, case):
    name, options = case
    weights, gradients = numbers(rng)
    if "global_clipnorm" in options:  # the oracle would clip each alone
        options = {k: v for k, v in options.items() if k != "global_clipnorm"}
    training = Training(getattr(optimizers, name)(**options), weights)
    graph = Graph(training=True)
    feeds = [graph.input(v.spec) for v in training.variables]
    factors = dict(zip(training.variables, FACTORS, strict=True))
    training.optimizer.update_ops(graph, training.variables, feeds, factors)
    training.program = Program(graph, feeds, [])
    after = training.run(gradients)
    for i, factor in enumerate(FACTORS):
        alone = {**options, "learning_rate": factor * options["learning_rate"]}
        exact = train(name, [weights[i]], [[g[i]] for g in gradients], **alone)
        assert_close([after[i]], [weights[i]], exact)


def nested():
    base = Sequential([Input((6,)), *(layers.Dense(6, name=f"block{i}_dense") for i in (1, 5, 10))], name="base")
    return Sequential([base, layers.Dense(2, name="head")])


def by_layer(model, given):
    found = multipliers.factors(model, given)
    return {w.name.split("/")[0]: found.get(w, 1.0) for w in model.weights}


def test_the_longest_name_that_fits_counts_and_a_layers_own_before_its_models():
    model = nested()
    assert by_layer(model, {}) == {"block1_dense": 1, "block5_dense": 1, "block10_dense": 1, "head": 1}
    assert by_layer(model, {"base": 0.1, "block1": 0.5, "block5_dense": 2.0, "block5": 3.0}) == {
        "block1_dense": 0.5, "block5_dense": 2.0, "block10_dense": 0.1, "head": 1.0
    }  # fmt: skip


def rate_of_each_layer(model, optimizer, x, y):
    """How far plain gradient descent went, divided by how far it goes without factors."""
    before = model.get_weights()
    model.compile(optimizers.SGD(1e-3), "mse")
    model.train_on_batch(x, y)
    plain = [w - b for w, b in zip(model.get_weights(), before, strict=True)]
    model.set_weights(before)
    model.compile(optimizer, "mse")
    model.train_on_batch(x, y)
    moved = [w - b for w, b in zip(model.get_weights(), before, strict=True)]
    model.set_weights(before)
    norms = [float(np.linalg.norm(m) / np.linalg.norm(p)) for m, p in zip(moved, plain, strict=True)]
    return np.round(norms[::2], 3).tolist()  # of the kernels


def test_a_model_learns_at_the_rates_of_its_layers_and_changes_them_at_once(rng):
    model = nested()
    x, y = rng.standard_normal((16, 6)).astype(np.float32), rng.standard_normal((16, 2)).astype(np.float32)
    optimizer = optimizers.SGD(1e-3, learning_rate_multipliers={"base": 0.5, "block10": 0.25})
    assert rate_of_each_layer(model, optimizer, x, y) == pytest.approx([0.5, 0.5, 0.25, 1.0], abs=2e-3)
    optimizer.learning_rate_multipliers = {"head": 2.0}
    assert rate_of_each_layer(model, optimizer, x, y) == pytest.approx([1.0, 1.0, 1.0, 2.0], abs=2e-3)
    before = model.get_weights()
    optimizer.learning_rate_multipliers = {"base": 0.0}
    model.train_on_batch(x, y)
    changed = [not np.array_equal(w, b) for w, b in zip(model.get_weights(), before, strict=True)]
    assert changed == [False] * 6 + [True] * 2


def test_factors_are_saved_with_the_model(rng, tmp_path):
    model = nested()
    x, y = rng.standard_normal((16, 6)).astype(np.float32), rng.standard_normal((16, 2)).astype(np.float32)
    model.compile(optimizers.Adam(1e-2, learning_rate_multipliers={"base": 0.5}), "mse")
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.safetensors")
    again = cnnfast.load_model(tmp_path / "model.safetensors")
    assert dict(again.optimizer.learning_rate_multipliers) == {"base": 0.5}
    for _ in range(3):
        assert again.train_on_batch(x, y) == model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))
    copy = model.optimizer.without_state()
    assert copy.learning_rate_multipliers == model.optimizer.learning_rate_multipliers


def test_a_name_that_no_layer_has_is_refused_before_anything_changes(rng):
    model = nested()
    x, y = np.ones((2, 6), np.float32), np.ones((2, 2), np.float32)
    model.compile(optimizers.SGD(1e-3, learning_rate_multipliers={"blok5": 0.5}), "mse")
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"learning_rate_multipliers names 'blok5'.*block5_dense"):
        model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ([("a", 1.0)], TypeError), ({1: 1.0}, TypeError), ({"a": "x"}, TypeError), ({"a": True}, TypeError),
        ({"a": -1.0}, ValueError), ({"a": np.inf}, ValueError), ({"a": np.nan}, ValueError), ({"": 1.0}, ValueError),
    ],
)  # fmt: skip
def test_what_is_no_factor_by_name_is_refused(given, error):
    with pytest.raises(error, match="SGD: learning_rate_multipliers"):
        optimizers.SGD(learning_rate_multipliers=given)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_the_same_steps_as_the_parameter_groups_of_pytorch(rng, name):
    torch = pytest.importorskip("torch")
    x, y = rng.standard_normal((16, 6)).astype(np.float32), rng.standard_normal((16, 2)).astype(np.float32)
    model = Sequential([Input((6,)), layers.Dense(5, activation="relu", name="low"), layers.Dense(2, name="top")])
    options = {"SGD": {"momentum": 0.9}, "AdamW": {"weight_decay": 0.05, "epsilon": 1e-8}}[name]
    model.compile(getattr(optimizers, name)(0.01, learning_rate_multipliers={"low": 0.1}, **options), "mse")
    low, top = torch.nn.Linear(6, 5), torch.nn.Linear(5, 2)
    with torch.no_grad():
        for layer, theirs in zip(model.layers, (low, top), strict=True):
            theirs.weight.copy_(torch.tensor(layer.kernel.numpy().T))
            theirs.bias.copy_(torch.tensor(layer.bias.numpy()))
    groups = [{"params": low.parameters(), "lr": 0.001}, {"params": top.parameters()}]
    options["eps"] = options.pop("epsilon", None)
    theirs = getattr(torch.optim, name)(groups, lr=0.01, **{k: v for k, v in options.items() if v is not None})
    for _ in range(5):
        model.train_on_batch(x, y)
        theirs.zero_grad()
        torch.nn.functional.mse_loss(top(torch.relu(low(torch.tensor(x)))), torch.tensor(y)).backward()
        theirs.step()
    for layer, module in zip(model.layers, (low, top), strict=True):
        # five steps of about ten roundings, of numbers of size 1
        np.testing.assert_allclose(layer.kernel.value, module.weight.detach().numpy().T, rtol=1e-5, atol=5e-6)
        np.testing.assert_allclose(layer.bias.value, module.bias.detach().numpy(), rtol=1e-5, atol=5e-6)
