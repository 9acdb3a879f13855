"""Every network: its size, its names, its arguments, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, applications, layers, load_model
from cnnfast.bench import networks as bench_networks
from cnnfast.bench.spec import Workload
from cnnfast.layers.base import initial_values_from

# Numbers in all weights, moving averages included, with 1000 classes and without top. Keras' own from its summaries;
# torchvision's `num_params` plus two moving averages for each channel that is normalized.
PARAMETERS = [
    ("VGG16", "keras", 138_357_544, 14_714_688),
    ("ResNet18", "torchvision", 11_689_512 + 2 * 4_800, 11_186_112),
    ("ResNet34", "torchvision", 21_797_672 + 2 * 8_512, 21_301_696),
    ("ResNet50", "keras", 25_636_712, 23_587_712),
    ("ResNet50", "keras-v0.2", 25_636_712, 23_587_712),
    ("ResNet50", "torchvision", 25_557_032 + 2 * 26_560, 23_561_152),
    ("ResNet101", "keras", 44_707_176, 42_658_176),
    ("ResNet101", "torchvision", 44_549_160 + 2 * 52_672, 42_605_504),
    ("MobileNet", "keras", 4_253_864, 3_228_864),
    ("MobileNetV2", "keras", 3_538_984, 2_257_984),
    ("MobileNetV2", "torchvision", 3_504_872 + 2 * 17_056, 2_257_984),
    ("SqueezeNet1_0", "torchvision", 1_248_424, 735_424),
    ("SqueezeNet1_0", "caffe", 1_248_424, 735_424),
    ("SqueezeNet1_1", "torchvision", 1_235_496, 722_496),
    ("SqueezeNet1_1", "keras", 1_235_496, 722_496),
    ("EfficientNetLite0", "keras", 4_652_008 + 2 * 21_008, 3_413_024),
    ("DenseNet121", "keras", 8_062_504, 7_037_504),
    ("DenseNet121", "torchvision", 7_978_856 + 2 * 41_824, 7_037_504),
]


def build(name, /, **arguments):
    """Without drawing millions of random numbers."""
    with initial_values_from(np.zeros):
        return getattr(applications, name)(weights=None, **arguments)


@pytest.mark.parametrize(("name", "variant", "with_top", "without"), PARAMETERS)
def test_parameters_are_those_of_the_original(name, variant, with_top, without):
    assert build(name, variant=variant).count_params() == with_top
    base = build(name, variant=variant, include_top=False, input_shape=(64, 64, 3))
    assert base.count_params() == without


def test_vgg19_has_three_convolutions_more_than_vgg16():
    size = {"input_shape": (32, 32, 3), "variant": "torchvision"}
    vgg16, vgg19 = (build(name, **size).count_params() for name in ("VGG16", "VGG19"))
    assert vgg19 - vgg16 == 143_667_240 - 138_357_544


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("VGG16", ["block1_conv1", "block5_conv3", "block5_pool", "flatten", "fc1", "fc2", "predictions"]),
        ("VGG19", ["block3_conv4", "block5_conv4"]),
        ("ResNet18", ["conv1_pad", "conv2_block1_1_conv", "conv3_block1_0_bn", "conv5_block2_out", "avg_pool"]),
        ("ResNet50", ["conv1_relu", "pool1_pool", "conv4_block6_out", "conv5_block3_3_bn", "conv2_block1_add"]),
        ("MobileNet", ["conv1_relu", "conv_pad_2", "conv_dw_13_relu", "conv_pw_13_bn", "conv_preds", "reshape_2"]),
        ("MobileNetV2", ["Conv1", "bn_Conv1", "expanded_conv_project", "block_1_expand", "block_16_project_BN"]),
        ("SqueezeNet1_1", ["fire2/squeeze1x1", "fire9/concat", "drop9", "conv10", "pool10"]),
        ("EfficientNetLite0", ["stem_conv", "block2a_expand_conv", "block6d_add", "top_activation"]),
        ("DenseNet121", ["conv5_block16_concat", "pool4_pool", "bn", "relu", "predictions"]),
    ],
)
def test_layers_have_keras_names(name, some):
    assert {*some} <= {layer.name for layer in build(name, input_shape=(64, 64, 3)).layers}


def test_a_projection_stands_only_where_shapes_change():
    names = {layer.name for layer in build("ResNet18").layers}
    assert "conv2_block1_0_conv" not in names and "conv3_block1_0_conv" in names and "conv3_block2_0_conv" not in names


def test_the_variants_of_resnet50_differ_in_stride_bias_and_epsilon():
    seen = {}
    for variant in ("keras", "torchvision", "keras-v0.2"):
        model = build("ResNet50", variant=variant)
        first, second = (model.get_layer(f"conv3_block1_{i}_conv") for i in (1, 2))
        epsilon = model.get_layer("conv1_bn").epsilon
        seen[variant] = (first.strides[0], second.strides[0], first.use_bias, epsilon, model.preprocessing)
    assert seen == {
        "keras": (2, 1, True, 1.001e-5, "caffe"),
        "torchvision": (1, 2, False, 1e-5, "torch"),
        "keras-v0.2": (2, 1, True, 1e-3, "caffe"),
    }


@pytest.mark.parametrize("size", [63, 64, 65, 66])
def test_squeezenets_poolings_round_up_as_pytorchs_ceil_mode(size, rng):
    model = build("SqueezeNet1_0", include_top=False, input_shape=(size, size, 3))
    pool = model.get_layer("pool1")
    x = rng.normal(size=(1, size, size, 2)).astype(np.float32)
    ends = -(-(size - 3) // 2) + 1
    expected = [[x[0, 2 * p : 2 * p + 3, 2 * q : 2 * q + 3].max((0, 1)) for q in range(ends)] for p in range(ends)]
    np.testing.assert_array_equal(pool(x)[0], expected)


# Arguments


def test_without_top_the_size_of_images_is_free():
    base = build("ResNet18", include_top=False)
    assert base.input_shape == (None, None, None, 3) and base.output_shape == (None, None, None, 512)
    for size in (64, 97):
        assert base.predict(np.zeros((1, size, size, 3)), verbose=0).shape == (1, -(-size // 32), -(-size // 32), 512)


@pytest.mark.parametrize(("pooling", "shape"), [(None, (None, 2, 2, 512)), ("avg", (None, 512)), ("max", (None, 512))])
def test_pooling(pooling, shape):
    assert build("ResNet18", include_top=False, pooling=pooling, input_shape=(64, 64, 3)).output_shape == shape


def test_classes_activation_and_name():
    model = build("SqueezeNet1_1", classes=3, classifier_activation=None, name="mine", input_shape=(64, 64, 3))
    assert model.name == "mine" and model.output_shape == (None, 3)
    assert model.predict(np.zeros((1, 64, 64, 3)), verbose=0).tolist() == [[0.0, 0.0, 0.0]]  # logits, not 1/3
    model = build("MobileNet", classes=3, alpha=0.25, input_shape=(64, 64, 3))
    np.testing.assert_allclose(model.predict(np.zeros((1, 64, 64, 3)), verbose=0), 1 / 3)


def test_mobilenets_are_named_after_width_and_size():
    assert build("MobileNet", alpha=0.25).name == "mobilenet_0.25_224"
    assert build("MobileNetV2", alpha=0.35, include_top=False).name == "mobilenetv2_0.35_224"


def test_input_tensor_may_be_the_output_of_layers():
    image = Input((40, 40, 3), dtype="uint8")
    x = layers.Preprocess("tf")(image)
    base = build("MobileNetV2", alpha=0.35, include_top=False, input_tensor=x)
    assert base.input_shape == (None, 40, 40, 3) and base.layers[1].name == x.name
    assert base.predict(np.zeros((1, 40, 40, 3), np.uint8), verbose=0).shape == (1, 2, 2, 1280)


def test_a_base_trains_under_a_new_head_and_is_saved_with_its_preprocessing(tmp_path, rng):
    base = applications.MobileNetV2(
        weights=None, alpha=0.35, include_top=False, pooling="avg", input_shape=(32, 32, 3), variant="torchvision"
    )
    base.trainable = False
    image = Input((32, 32, 3), dtype="uint8")
    x = base(layers.Preprocess(base.preprocessing)(image))
    model = Model(image, layers.Dense(2, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    photos, labels = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8), np.arange(8) % 2
    before = base.get_weights()
    model.fit(photos, labels, epochs=1, verbose=0)
    for a, b in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(photos, verbose=0), model.predict(photos, verbose=0))


def test_a_saved_model_with_preprocessing_loads_where_applications_was_never_imported(tmp_path):
    path = tmp_path / "model.safetensors"
    Sequential([Input((4, 4, 3)), layers.Preprocess("caffe"), layers.Flatten()]).save(path)
    code = f"import cnnfast, sys; print(cnnfast.load_model({str(path)!r}).layers[0].mode)"
    code += "; assert 'cnnfast.applications' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "caffe\n"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"variant": "caffe2"}, ValueError, "VGG16: variant must be one of keras, torchvision, got 'caffe2'"),
        ({"pooling": "mean"}, ValueError, "VGG16: pooling must be None, 'avg' or 'max', got 'mean'"),
        ({"classes": 0}, ValueError, "VGG16: classes must be a positive integer, got 0"),
        ({"classes": True}, ValueError, "VGG16: classes must be a positive integer, got True"),
        ({"input_shape": (224, 224)}, ValueError, r"VGG16: input_shape must be \(H, W, C\), got \(224, 224\)"),
        ({"input_shape": (16, 64, 3)}, ValueError, r"VGG16: images must be at least 32x32, got .*\(16, 64, 3\)"),
        ({"input_shape": (None, None, 3)}, ValueError, "VGG16: include_top needs an input_shape without None"),
        ({"input_tensor": np.zeros((1, 32, 32, 3))}, TypeError, "VGG16: input_tensor must be a symbolic value"),
        ({"weights": 3}, TypeError, "VGG16: weights must be None, 'imagenet' or a path, got int"),
        ({"weights": "imagenet", "classes": 2}, ValueError, "has 1000 classes, got classes=2; use include_top=False"),
        (
            {"weights": "imagenet", "classifier_activation": "sigmoid"},
            ValueError,
            "needs classifier_activation 'softmax' or None, got 'sigmoid'",
        ),
        ({"weights": "no such file.h5"}, FileNotFoundError, "VGG16: there is no weights file 'no such file.h5'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        applications.VGG16(**{"weights": None, **arguments})


def test_keras_official_mobilenets_are_for_some_widths_and_sizes():
    with pytest.raises(ValueError, match=r"MobileNet: weights='imagenet' are for alpha 0.25.*got alpha=0.3 "):
        applications.MobileNet(alpha=0.3)
    with pytest.raises(ValueError, match=r"MobileNetV2: weights='imagenet' are for alpha 0.35"):
        applications.MobileNetV2(alpha=1.4, variant="torchvision")


def test_pre_trained_weights_are_for_three_channels(tmp_path):
    np.savez(tmp_path / "a.npz", **{"conv1/kernel": np.zeros((3, 3, 3, 32))})
    with pytest.raises(ValueError, match="MobileNet: pre-trained weights are for images of 3 channels"):
        applications.MobileNet(weights=tmp_path / "a.npz", input_shape=(64, 64, 1))
    assert build("MobileNet", alpha=0.25, input_shape=(64, 64, 1)).input_shape == (None, 64, 64, 1)


# The benchmark's networks


@pytest.mark.parametrize(
    ("spec", "name", "include_top"),
    [("vgg16_features", "VGG16", False), ("resnet50", "ResNet50", True), ("mobilenet_v2", "MobileNetV2", True)],
)
def test_the_benchmark_measures_the_same_networks(spec, name, include_top):
    row = Workload("row", "infer", (224, 224, 3), 1, getattr(bench_networks, spec)())
    model = build(name, variant="torchvision", include_top=include_top)
    assert sorted(row.weight_shapes().values()) == sorted(w.shape for w in model.weights)
