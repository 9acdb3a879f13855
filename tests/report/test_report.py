"""The report says what is true of the model and the data, is whole in itself, and takes nothing at its word."""

import base64
import hashlib
import html
import json
import re
import sys

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.image.dataset import ImageDataset
from cnnfast.image.decode import save_img
from cnnfast.report import figures
from cnnfast.report.data import Watched, classify
from cnnfast.report.explained import chosen_rows, explain
from cnnfast.report.inside import look_inside
from tests.report.networks import HOSTILE, bright, brightest

pytest.importorskip("jinja2")


@pytest.fixture
def page(tmp_path):
    """Writes a report and reads it."""

    def write(model, data, **options):
        path = tmp_path / "report.html"
        model.report(data, path, **options)
        return path.read_text(encoding="utf-8")

    return write


def gallery(text):
    """The images that a page holds, as its script reads them."""
    return json.loads(re.search(r'<script type="application/json" id="gallery-data">(.*?)</script>', text)[1])


def some_wrong():
    """Images of which 0 and 4 bear a wrong label."""
    x, y = bright()
    labels = y.copy()
    labels[[0, 4]] = 2
    return x, y, labels


def test_the_page_tells_the_counts_and_holds_the_images_of_each_cell(page):
    x, y, labels = some_wrong()
    text = page(brightest(), (x, labels))
    assert ">83.33 %<" in text
    cells = re.findall(r'data-true="(\d)" data-predicted="(\d)" data-count="(\d+)"', text)
    counts = {(int(t), int(p)): int(n) for t, p, n in cells}
    assert counts == {
        (0, 0): 3, (0, 1): 0, (0, 2): 0, (1, 0): 0, (1, 1): 3, (1, 2): 0, (2, 0): 1, (2, 1): 1, (2, 2): 4,
    }  # fmt: skip
    images = gallery(text)["images"]
    assert {image["row"] for image in images[:2]} == {0, 4}
    assert all((image["true"], image["predicted"]) == (labels[image["row"]], y[image["row"]]) for image in images)


def test_a_wrong_image_is_explained_for_both_classes_and_by_the_pixels_that_speak_for_them():
    x, _, labels = some_wrong()
    model, watched = brightest(), Watched((x, labels))
    found = classify(model, watched)
    explained = explain(model, watched, found, chosen_rows(found, 12))
    assert explained.layer == "conv"
    assert len(explained.shown[0].heats) == 2 and len(explained.shown[1].heats) == 1
    heat = explained.shown[1].heats[0]
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    assert heat[inside].min() > heat[~inside].max()


def test_nothing_is_asked_from_a_network_and_scripts_are_let_through_by_their_hash_alone(page):
    text = page(brightest(), bright())
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"data:image/[^\"]*|^\s*//.*$", "", text, flags=re.M))
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = hashlib.sha256(body.encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert " style=" not in text and " onclick=" not in text


def test_names_of_classes_files_layers_and_the_title_are_text(page, tmp_path):
    (tmp_path / "images").mkdir()
    x, y = bright()
    evil = [f"{i}<img src=x onerror=alert(1)>\"'&.png" for i in range(len(x))]
    for image, name in zip(x, evil, strict=True):
        save_img(tmp_path / "images" / name, 255 * image, scale=False)
    model = brightest()
    model.class_names = [HOSTILE, "</script><b>", "'\"&"]
    data = ImageDataset(
        [tmp_path / "images" / name for name in evil], y.tolist(), class_names=model.class_names, image_size=(8, 8)
    )
    text = page(model, data, title=HOSTILE)
    assert text.count("<script") == 2 and text.count("</script>") == 2
    assert "<img src=x" not in text and "<b>" not in text
    assert html.escape(HOSTILE, quote=False) in text
    assert gallery(text)["classes"] == model.class_names
    assert {image["name"] for image in gallery(text)["images"]} == {str(tmp_path / "images" / name) for name in evil}


def test_the_same_input_gives_the_same_bytes_whatever_the_batches(tmp_path):
    x, y = bright()
    paths = []
    for i, image in enumerate(x):
        paths.append(tmp_path / f"{i}.png")
        save_img(paths[-1], 255 * image, scale=False)
    model = brightest()
    written = []
    for size, shuffle in ((3, False), (3, False), (5, True)):
        data = ImageDataset(paths, y, image_size=(8, 8), batch_size=size, shuffle=shuffle, seed=1)
        model.report(data, tmp_path / "report.html", seed=7)
        written.append((tmp_path / "report.html").read_bytes())
    assert written[0] == written[1] == written[2]


def test_the_hash_changes_with_a_pixel_and_with_a_label():
    x, y = bright()
    model = brightest()

    def hashed(x, y):
        return classify(model, Watched((x, y))).data_hash

    other = x.copy()
    other[3, 1, 1, 0] += 0.01
    relabelled = y.copy()
    relabelled[3] = 1
    assert len({hashed(x, y), hashed(other, y), hashed(x, relabelled)}) == 3
    assert hashed(x, y) == hashed(x.copy(), y.astype(np.float32))


def test_dead_channels_are_those_that_are_never_above_0():
    model, watched = brightest(), Watched(bright())
    (dead,) = look_inside(model, watched, classify(model, watched)).dead
    assert (dead.layer, dead.channels, dead.dead) == ("conv", 6, [3, 4, 5])


def test_the_steps_lead_from_the_image_to_the_probabilities():
    x, y = bright()
    model, watched = brightest(), Watched((x, y))
    found = classify(model, watched)
    example = look_inside(model, watched, found).examples[0]
    assert [step.name for step in example.steps] == ["image", "conv", "pool", "mean", "scores", "scores"]
    assert "ReLU" in example.steps[1].words and example.steps[1].shape == "6 maps of 8x8"
    best = example.steps[-1].bars[0]
    assert best.is_true and best.width == pytest.approx(100 * found.probabilities[example.row].max())
    assert example.steps[-1].words.startswith("Softmax")


@pytest.mark.parametrize(
    ("last", "names"),
    [
        ([layers.Flatten(name="flat"), layers.Dense(3, "relu", name="hidden")], ["flat", "hidden"]),
        ([layers.Conv2D(3, 1, name="maps"), layers.GlobalAveragePooling2D(name="mean")], ["maps", "mean"]),
    ],
)
@pytest.mark.parametrize("end", ["together", "apart", "scores alone"])
def test_a_hidden_layer_as_wide_as_there_are_classes_is_a_step_of_its_own(last, names, end):
    answer = layers.Dense(3, activation="softmax" if end == "together" else None, name="answer")
    more = [layers.Softmax(name="softmax")] if end == "apart" else []
    model = cnnfast.Sequential([layers.Input((8, 8, 3)), *last, answer, *more])
    watched = Watched(bright())
    steps = look_inside(model, watched, classify(model, watched)).examples[0].steps
    assert [step.name for step in steps] == ["image", *names, "answer", "softmax" if more else "answer"]


def test_the_score_of_a_sigmoid_is_the_true_class_s_only_where_that_is_class_1():
    x, y = bright()
    model = cnnfast.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.layers[-1].set_weights([np.tile([[-0.1], [0.1], [0.1]], (64, 1)), np.zeros(1)])  # red is class 0
    watched = Watched((x, np.minimum(y, 1)))
    found = classify(model, watched)
    examples = look_inside(model, watched, found).examples
    assert {int(found.true[example.row]) for example in examples} == {0, 1}
    for example in examples:
        (score,) = example.steps[-2].bars
        assert score.is_true == (found.true[example.row] == 1)


@pytest.mark.parametrize("limit", [60_000, 90_000])
def test_the_page_keeps_within_its_size(page, limit):
    x, y = bright(60)
    noise = np.random.default_rng(1).uniform(0, 1, (60, 8, 8, 3)).astype(np.float32)
    text = page(brightest(), (np.clip(x + noise, 0, 1), y), max_bytes=limit)
    assert len(text.encode()) <= limit
    with pytest.raises(ValueError, match="the page cannot be made smaller than"):
        page(brightest(), (x, y), max_bytes=10_000)


def test_fewer_images_are_shown_than_there_are_and_mistakes_are_among_them(page):
    x, _, labels = some_wrong()
    text = page(brightest(), (x, labels), max_images=5)
    assert [image["row"] for image in gallery(text)["images"][:2]] in ([0, 4], [4, 0])
    assert len(gallery(text)["images"]) == 5 and "The page holds 5 of 12 images" in text
    assert gallery(page(brightest(), (x, labels), max_images=0))["images"] == []


def test_a_model_without_convolutions_is_reported_without_grad_cam(page):
    x, y = bright()
    model = cnnfast.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    text = page(model, (x, y))
    assert "There is no Grad-CAM: gradcam: no convolution has maps" in text
    assert gallery(text)["images"][0]["panels"] == ["image"]


def test_an_image_without_anything_for_its_class_says_so(page):
    x, y = bright()
    x[0] = 0.0  # the scores are all the same, no map is above 0
    images = {image["row"]: image for image in gallery(page(brightest(), (x, y)))["images"]}
    assert images[0]["empty"] == ["0"] and images[1]["empty"] == []


def test_a_sigmoid_is_two_classes(page):
    x, y = bright(classes=3)
    model = cnnfast.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    text = page(model, (x, np.minimum(y, 1)))
    assert gallery(text)["classes"] == ["0", "1"]


def test_data_that_change_are_refused_and_the_old_file_stays(tmp_path):
    class Changing(cnnfast.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            x, y = bright()
            return x + np.random.default_rng().uniform(0, 0.1, x.shape).astype(np.float32), y

    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(ValueError, match="give the same images each time"):
        brightest().report(Changing(), path)
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_data_set_that_reshuffles_itself_keeps_images_and_labels_together(page):
    x, y = bright()

    class Shuffled(cnnfast.utils.PyDataset):
        order = np.arange(12)

        def __len__(self):
            return 3

        def __getitem__(self, index):
            rows = self.order[4 * index : 4 * index + 4]
            return x[rows], y[rows]

        def on_epoch_end(self):
            self.order = self.order[::-1]

    model, watched = brightest(), Watched(Shuffled())
    found = classify(model, watched)
    for rows, images in watched.again(range(12), found.digests, 5):
        assert (images == x[rows]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, y: (x, y[:3]), "as many labels as images"),
        (lambda x, y: (x, y + 1), "label 3 is out of range"),
        (lambda x, y: (x, np.ones((12, 3))), "neither classes nor one-hot"),
        (lambda x, y: (x[:, 0, 0], y), "expected images"),
    ],
)
def test_data_that_do_not_fit_are_refused(make, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        brightest().report(make(*bright()), tmp_path / "report.html")


def test_models_that_do_not_classify_are_refused(tmp_path):
    x, y = bright()
    a = layers.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(a)
    two = cnnfast.Model(a, [layers.Dense(2)(features), layers.Dense(3)(features)])
    regression = cnnfast.Model(a, layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")(features))
    with pytest.raises(ValueError, match="1 inputs and 2 outputs"):
        two.report((x, y), tmp_path / "report.html")
    with pytest.raises(ValueError, match="is no probability"):
        regression.report((x, y), tmp_path / "report.html")
    with pytest.raises(TypeError, match="got ndarray"):
        brightest().report(x, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_calibration_by_hand():
    bins, error = figures.calibration(np.array([0.55, 0.6, 0.95, 1.0]), np.array([True, False, True, True]))
    assert [(b.images, b.accuracy) for b in bins if b.images] == [(2, 0.5), (2, 1.0)]
    assert error == pytest.approx(0.5 * abs(0.575 - 0.5) + 0.5 * abs(0.975 - 1))


def test_figures_of_classes_and_confused_pairs_by_hand():
    counts = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])
    first, _, third = figures.per_class(counts, ["a", "b", "c"])
    assert (first.precision, first.recall, first.f1) == (1.0, 0.75, pytest.approx(6 / 7))
    assert (third.recall, third.precision, third.f1) == (None, 0.0, 0.0)
    assert [(p.true, p.predicted, p.count, p.images) for p in figures.confused_pairs(counts)] == [
        (1, 2, 2, 4),
        (0, 1, 1, 4),
    ]


def test_curves_come_from_a_history_or_a_csv_file(tmp_path, page):
    (tmp_path / "log.csv").write_text("epoch,loss,val_loss\n0,2.0,1.5\n1,1.0,NA\n")
    history = figures.read_history(tmp_path / "log.csv")
    assert history["loss"] == [2.0, 1.0] and np.isnan(history["val_loss"][1])
    (panel,) = figures.curves(history)
    assert [(s.name, s.path) for s in panel.series] == [("training", "M0 0L320 150"), ("validation", "M0 75")]
    assert 'd="M0 0L320 150"' in page(brightest(), bright(), history={"loss": [2.0, 1.0]})
    with pytest.raises(ValueError, match="series of one length"):
        figures.read_history({"loss": [1.0], "accuracy": []})


def test_grey_images_without_channels_are_reported(page):
    x, y = bright()
    model = cnnfast.Sequential(
        [
            layers.Input((8, 8)),
            layers.Reshape((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    text = page(model, (x[..., 0], y))
    assert "Images are 8x8." in text and "There is no Grad-CAM" in text


def test_of_very_many_classes_the_matrix_shows_those_with_mistakes(page):
    x, y = bright()
    model = cnnfast.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(3, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(200),
        ]
    )
    kernel = np.zeros((3, 200))
    kernel[:, [20, 40, 60]] = 30 * np.eye(3)
    model.layers[-1].set_weights([kernel, np.zeros(200)])
    next(one for one in model.layers if isinstance(one, layers.Conv2D)).set_weights(
        [np.eye(3)[None, None], np.zeros(3)]
    )
    text = page(model, (x, np.where(y == 0, 150, 20 + 20 * y)))
    assert "These are the 30 of 200 classes with the most mistakes" in text
    assert len(re.findall('role="gridcell"', text)) == 900
    assert 'data-true="150" data-predicted="20" data-count="4"' in text
    assert "The model gives scores; the probabilities are their softmax." in text


def test_without_jinja2_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r'pip install "cnnfast\[report\]"'):
        brightest().report(bright(), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
