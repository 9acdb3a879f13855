"""Random networks against Keras: outputs, and weights after steps of training."""

from __future__ import annotations

import os

import numpy as np
import pytest

import cnnfast
from tests.peers import networks

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

#: networks by their make and seed; "winograd4", "winograd6": wide ones, with this algorithm wherever it can be used
NETWORKS = [
    *(("narrow", seed) for seed in range(8)),
    *((kind, seed) for kind in ("wide", "winograd4", "winograd6") for seed in range(6)),
]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.fixture(params=NETWORKS, ids=lambda p: f"{p[0]}-{p[1]}")
def network(request):
    kind, seed = request.param
    if kind.startswith("winograd"):
        cnnfast.config.set_conv2d_algorithm(kind)
    net = networks.random_network(seed, groups=False) if kind == "narrow" else networks.wide_network(seed)
    yield net, seed, networks.settings(kind)
    cnnfast.config.set_conv2d_algorithm("auto")


def _pair(keras, net, seed):
    ours, theirs = networks.build_keras_like(net, cnnfast), networks.build_keras_like(net, keras)
    weights = networks.random_weights(theirs, seed)
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return ours, theirs


def test_outputs_agree_with_keras(keras, network):
    net, seed, _ = network
    ours, theirs = _pair(keras, net, seed)
    ((x, _),) = networks.data(net, seed, 1)
    exact = np.asarray(theirs(x, training=False))
    assert np.max(np.abs(ours.predict_on_batch(x) - exact)) <= 1e-5 * np.max(np.abs(exact))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weights_agree_with_keras_after_five_steps(keras, network, optimizer):
    net, seed, (rate, epsilon, tolerance) = network
    ours, theirs = _pair(keras, net, seed)
    for library, model in ((cnnfast, ours), (keras, theirs)):
        made = {
            "sgd": lambda o: o.SGD(rate, momentum=0.9, nesterov=True),
            "adam": lambda o: o.Adam(0.003, epsilon=epsilon),
        }[optimizer](library.optimizers)
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=made, loss=loss)
    for x, y in networks.data(net, seed, 5):
        a, b = ours.train_on_batch(x, y), theirs.train_on_batch(x, y)
        assert np.isclose(a, b, rtol=tolerance), (a, b)
    networks.assert_same_weights(ours.get_weights(), theirs.get_weights(), tolerance)
