"""`cnnfast explain`: what it writes and says, and what it refuses."""

import numpy as np
import pytest

import cnnfast
from cnnfast import applications, explain, layers, utils
from cnnfast.commands.explain import _figure, _share
from cnnfast.image import save_img
from cnnfast.image.decode import read_image
from tests.commands.conftest import SIZE, draw


@pytest.fixture
def colours(tmp_path):
    """A model that needs no training: one map of red, one of green, and the mean of each is a class's score."""
    model = cnnfast.Sequential(
        [
            layers.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(2, 1, activation="relu", name="colours"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    kernel = np.array([[1.0, -1], [-1, 1], [0, 0]]).reshape(1, 1, 3, 2)
    model.layers[1].set_weights([kernel, np.zeros(2)])
    model.layers[-1].set_weights([np.array([[0, 50], [50, 0]]), np.zeros(2)])
    model.class_names = ["green", "red"]
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def halves(tmp_path):
    """A picture whose left half is red and whose smaller right part is green."""
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[:, : SIZE // 2, 0] = 200
    picture[:, 3 * SIZE // 4 :, 1] = 200
    save_img(tmp_path / "halves.png", picture, scale=False)
    return tmp_path / "halves.png"


def test_a_picture_is_written_for_every_image_and_its_class_is_said(colours, run, tmp_path):
    draw(tmp_path / "few", ["red", "green"], 2, 1)
    red, green, out = tmp_path / "few" / "red" / "0.png", tmp_path / "few" / "green", tmp_path / "out"
    status, printed, errors = run("explain", colours, red, green, "--out", out)
    assert (status, errors) == (0, "")
    names = ["0-gradcam.png", "0-2-gradcam.png", "1-gradcam.png"]
    assert sorted(p.name for p in out.iterdir()) == sorted(names)
    x = np.stack([read_image(path) for path in (red, green / "0.png", green / "1.png")])
    scores = cnnfast.load_model(colours).predict(x, verbose=0).max(1)
    assert printed.splitlines() == [
        f"{out / name}  {said} {score:.4f}"
        for name, said, score in zip(names, ("red", "green", "green"), scores, strict=True)
    ]
    picture = read_image(out / "0-gradcam.png")
    assert picture.shape[1] > 1.5 * picture.shape[0] > 300 and picture.std() > 10


def test_no_picture_is_written_over_another(colours, halves, run, tmp_path):
    images = [tmp_path / name for name in ("a.png", "a.PNG", "a-2.png")]
    for image in images:
        image.write_bytes(halves.read_bytes())
    for order in (images, images[::-1]):
        status, printed, _ = run("explain", colours, *order, "--out", tmp_path / "out")
        assert status == 0 and len({line.split("  ")[0] for line in printed.splitlines()}) == 3


def test_only_values_that_speak_against_a_class_get_a_scale_with_two_ends():
    values = np.full((4, 4, 3), 0.5)
    drawn = _figure(np.zeros((4, 4, 3), np.uint8), values, "saliency").axes[1].images[1]
    assert drawn.get_clim() == (0, 1.5) and (drawn.get_array() == 1.5).all()
    values[0, 0, 0] = -1
    drawn = _figure(np.zeros((4, 4, 3), np.uint8), values, "gradient").axes[1].images[1]
    assert drawn.get_clim() == (-1.5, 1.5)


def test_the_raw_map_is_gradcams_and_lies_where_the_class_is(colours, halves, run, tmp_path):
    for target, columns in (("red", slice(0, SIZE // 2)), ("green", slice(3 * SIZE // 4, SIZE))):
        status, printed, _ = run("explain", colours, halves, "--target", target, "--raw", "--out", tmp_path / target)
        assert status == 0
        heat = np.load(tmp_path / target / "halves-gradcam.npy")
        model = cnnfast.load_model(colours)
        expected = explain.gradcam(model, read_image(halves)[None], model.class_names.index(target), normalize=False)
        np.testing.assert_array_equal(heat, expected[0])
        assert heat[:, columns].sum() == pytest.approx(heat.sum()) and heat.sum() > 0
    # The means are 200/255 of a half and of a quarter; the scores differ by 50 times their difference.
    share = 1 / (1 + np.exp(50 * 200 / 255 / 4))
    assert f"green {share:.4f}, taken for red {1 - share:.4f}" in printed


def test_a_class_can_be_named_by_its_number_and_layers_can_be_named(colours, halves, run, tmp_path):
    options = ("--raw", "--out", tmp_path / "out")
    run("explain", colours, halves, "--target", "0", "--layer", "colours", "--layer", "colours", *options)
    heat = np.load(tmp_path / "out" / "halves-gradcam.npy")
    assert heat[:, -1].min() == 1.0 and heat[:, : SIZE // 2].max() == 0.0  # several layers are scaled to [0, 1]


def test_names_of_classes_may_have_dollars(colours, halves, run, tmp_path):
    model = cnnfast.load_model(colours)
    model.class_names = ["$5 to $10", "$x_$"]
    model.save(colours)
    status, printed, errors = run("explain", colours, halves, "--out", tmp_path / "out")
    assert (status, errors) == (0, "") and "  $x_$ 0.9" in printed


def test_an_image_in_which_nothing_speaks_for_the_class_is_named(colours, run, tmp_path):
    save_img(tmp_path / "blue.png", np.full((SIZE, SIZE, 3), (0, 0, 90), np.uint8), scale=False)
    status, _, errors = run("explain", colours, tmp_path / "blue.png", "--target", "red", "--out", tmp_path / "out")
    assert status == 0
    assert errors.strip() == f"{tmp_path / 'blue.png'}: nothing in its map speaks for red"
    assert (tmp_path / "out" / "blue-gradcam.png").exists()


def test_unreadable_files_are_named_and_left_out(colours, photos, run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    images = tmp_path / "broken.png", photos / "red" / "1.png"
    status, _, errors = run("explain", colours, *images, "--out", tmp_path / "out")
    assert status == 1 and "broken.png" in errors
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["1-gradcam.png"]


def test_a_named_network_gets_images_as_it_was_trained_on(photos, run, tmp_path):
    utils.set_random_seed(1)
    network = applications.SqueezeNet1_1(weights=None)
    network.save_weights(tmp_path / "squeezenet.safetensors")
    image = photos / "red" / "1.png"
    status, printed, _ = run(
        "explain", "squeezenet1-1", image, "--weights", tmp_path / "squeezenet.safetensors", "--target", "281",
        "--raw", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 0 and "tabby 0.0" in printed
    x = read_image(image, size=network.input_shape[1:3])[None].astype(np.float32)
    x = applications.preprocessing.preprocess_input(x, mode=network.preprocessing)
    heat = np.load(tmp_path / "out" / "1-gradcam.npy")
    expected = explain.gradcam(network, x, 281, normalize=False)[0]
    np.testing.assert_allclose(heat, expected, rtol=1e-4, atol=1e-4 * expected.max())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "blue"), "no class 'blue'; the model has 0 to 1: green, red"),
        (("--target", "2"), "no class '2'"),
        (("--target", "-1"), "no class '-1'"),
        (("--layer", "colour"), "no layer is named 'colour'"),
        (("--weights", "x.npz"), "--weights is for a network's name"),
    ],
)
def test_what_is_not_there_is_refused(colours, halves, run, tmp_path, words, message):
    status, _, errors = run("explain", colours, halves, "--out", tmp_path / "out", *words)
    assert status == 1 and message in errors


def test_a_model_that_is_no_file_and_no_network_is_refused(halves, run):
    status, _, errors = run("explain", "resnet51", halves)
    assert status == 1
    assert "no file or folder resnet51, and no network of that name" in errors and "ResNet50" in errors


@pytest.mark.parametrize(
    "value, text", [(0.5, "0.5000"), (0.0, "0.0000"), (6e-5, "0.0001"), (4e-5, "<0.0001"), (-2.5, "-2.5000")]
)
def test_a_share_too_small_for_its_digits_is_said_to_be_below_them(value, text):
    assert _share(value) == text
