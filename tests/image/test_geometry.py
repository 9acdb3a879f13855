"""Where pixels, masks, boxes and keypoints go."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.image import affine, work
from cnnfast.image import transforms as T
from tests.image.pictures import extent, photos, with_box

# 1 2 3
# 4 5 6
SMALL = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3, 1)


def rows(images):
    return images[..., 0].tolist()


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (T.RandomFlip(p=1), [[3, 2, 1], [6, 5, 4]]),
        (T.RandomFlip("vertical", p=1), [[4, 5, 6], [1, 2, 3]]),
        (T.RandomFlip("horizontal_and_vertical", p=1), [[6, 5, 4], [3, 2, 1]]),
        (T.RandomFlip(p=0), [[1, 2, 3], [4, 5, 6]]),
        (T.RandomRotation((180, 180)), [[6, 5, 4], [3, 2, 1]]),
        (T.RandomAffine(), [[1, 2, 3], [4, 5, 6]]),
        (T.Pad((1, 0, 0, 2), cval=9), [[9, 9, 9, 9, 9], [1, 2, 3, 9, 9], [4, 5, 6, 9, 9]]),
        (T.Pad((0, 1), fill_mode="reflect"), [[1, 1, 2, 3, 3], [4, 4, 5, 6, 6]]),
        (T.Pad((0, 1), fill_mode="nearest"), [[1, 1, 2, 3, 3], [4, 4, 5, 6, 6]]),
        (T.CenterCrop((1, 2)), [[1, 2]]),
        (T.CenterCrop((2, 1)), [[2], [5]]),
        (T.Resize((2, 6), order=0), [[1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6]]),
        (T.Resize((4, 3)), [[1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6]]),
        (T.RandomResizedCrop(scale=(1, 1), ratio=(1.5, 1.5)), [[1, 2, 3], [4, 5, 6]]),
    ],
    ids=repr,
)
def test_known_pictures(transform, expected):
    assert rows(transform(SMALL).images)[0] == expected


def test_positive_angles_turn_counter_clockwise():
    square = np.array([[1, 2], [3, 4]], np.uint8).reshape(1, 2, 2, 1)
    assert rows(T.RandomRotation((90, 90))(square).images)[0] == [[2, 4], [1, 3]]
    assert rows(T.RandomAffine(rotation=(90, 90))(square).images)[0] == [[2, 4], [1, 3]]


def test_random_crop_takes_every_place_equally_often():
    images = np.repeat(np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1), 3000, 0)
    out = T.RandomCrop((1, 2))(images, seed=1).images[:, 0, :, 0]
    np.testing.assert_array_equal(out[:, 1], out[:, 0] + 1)
    counts = np.bincount(out[:, 0], minlength=6)
    assert counts[[2, 5]].sum() == 0
    assert np.abs(counts[[0, 1, 3, 4]] / 3000 - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 3000)


def test_random_crop_with_padding_shifts_the_picture():
    out = rows(T.RandomCrop(padding=1, cval=0)(np.repeat(SMALL, 200, 0), seed=2).images)
    padded = np.pad(SMALL[0, ..., 0], 1)
    places = [padded[r : r + 2, c : c + 3].tolist() for r in range(3) for c in range(3)]
    assert all(picture in places for picture in out) and all(place in out for place in places)


def test_resized_crop_keeps_to_scale_and_ratio():
    transform = T.RandomResizedCrop(scale=(0.2, 0.5), ratio=(0.5, 2.0))
    u = np.random.default_rng(0).random((500, 22))
    top, left, height, width = np.array([transform._rectangle((100, 200), row) for row in u]).T
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 100).all() and (left + width <= 200).all()
    share, ratio = height * width / 20000, width / height
    assert share.min() > 0.19 and share.max() < 0.51  # whole pixels
    assert 0.48 < ratio.min() < 0.6 and 1.7 < ratio.max() < 2.1


def test_resized_crop_that_finds_no_place_takes_the_middle():
    transform = T.RandomResizedCrop(scale=(1, 1), ratio=(1, 1))
    assert transform._rectangle((10, 30), np.full(22, 0.5)) == (0, 10, 10, 10)
    assert transform._rectangle((30, 10), np.full(22, 0.5)) == (10, 0, 10, 10)


WIDE = np.arange(1, 9, dtype=np.uint8).reshape(1, 1, 8, 1)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (T.Pad((0, 2), cval=9), [9, 9, 3, 4, 5, 6, 9, 9]),
        (T.Pad((0, 2), fill_mode="reflect"), [4, 3, 3, 4, 5, 6, 6, 5]),
        (T.RandomCrop((1, 8), padding=(0, 2), cval=9), [9, 9, 3, 4, 5, 6, 9, 9]),
        (T.Compose([T.RandomFlip(p=1), T.Pad((0, 1))]), [0, 6, 5, 4, 3, 0]),
        (T.RandomAffine(zoom=(0.5, 0.5), order=0, fill_mode="constant", cval=9), [9, 4, 6, 9]),
        (T.RandomAffine(zoom=(0.5, 0.5), order=0, fill_mode="nearest"), [2, 4, 6, 8]),
    ],
    ids=repr,
)
def test_what_was_cut_off_comes_back_only_where_the_fill_would_guess_it(behind, expected):
    found = rows(T.Compose([T.CenterCrop((1, 4)), behind])(WIDE).images)[0][0]
    assert found == expected


MOVES = [
    T.RandomFlip("horizontal_and_vertical"),
    T.RandomCrop((70, 90)),
    T.RandomCrop(padding=20),
    T.Pad((5, 9, 2, 30)),
    T.CenterCrop((60, 91)),
    T.RandomAffine(shift=0.2, zoom=0.3, stretch=0.2, order=0, fill_mode="constant"),
    T.Resize((160, 60), order=0),
    T.RandomResizedCrop((90, 70), scale=(0.5, 1), order=0),
    T.Compose([T.RandomCrop(90, padding=4), T.RandomFlip(), T.Resize(120, order=1), T.RandomFlip("vertical")]),
]


@pytest.mark.parametrize("transform", MOVES, ids=repr)
def test_boxes_and_masks_follow_the_picture(transform):
    box = [30, 25, 75, 60]
    picture = np.repeat(with_box(100, 120, box)[None], 20, 0)
    whole = [0, 0, 120, 100]
    out = transform(picture, masks=picture[..., 0], boxes=[[box, whole]] * 20, labels=[["box", "whole"]] * 20, seed=3)
    for image, mask, boxes, labels in zip(out.images, out.masks, out.boxes, out.labels, strict=True):
        if not mask.any():
            assert "box" not in labels
            continue
        assert labels[0] == "box"
        np.testing.assert_allclose(boxes[0], extent(mask), atol=0.5 + 1e-9)  # a pixel is in if its centre is
        np.testing.assert_allclose(boxes[0], extent(image[..., 0] > 127), atol=1.0)
        height, width = mask.shape
        assert boxes.min() >= 0 and boxes[:, 2].max() <= width and boxes[:, 3].max() <= height


@pytest.mark.parametrize("angle", [-70.0, -30.0, 15.0, 45.0])
def test_turned_box_is_the_box_around_its_corners(angle):
    picture = with_box(200, 200, [60, 80, 140, 120])[None]
    out = T.RandomRotation((angle, angle), order=0, fill_mode="constant")(
        picture, masks=picture, boxes=[[[60, 80, 140, 120]]]
    )
    np.testing.assert_allclose(out.boxes[0][0], extent(out.masks[0, ..., 0]), atol=1.0)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(abs(angle)))
    half = [40 * cos + 20 * sin, 40 * sin + 20 * cos]
    np.testing.assert_allclose(out.boxes[0][0], [100 - half[0], 100 - half[1], 100 + half[0], 100 + half[1]])


def test_boxes_are_moved_by_corners_until_the_end():
    """Two turns by 45 degrees are one by 90: the box does not grow in between."""
    picture = np.zeros((1, 101, 101, 1), np.uint8)
    turn = T.RandomRotation((45, 45))
    two = T.Compose([turn, T.Invert(p=1), turn])(picture, boxes=[[[40, 30, 60, 70]]])
    np.testing.assert_allclose(two.boxes[0], [[30.5, 40.5, 70.5, 60.5]], atol=1)
    one = T.RandomRotation((90, 90))(picture, boxes=[[[40, 30, 60, 70]]])
    np.testing.assert_allclose(two.boxes[0], one.boxes[0])


def test_boxes_that_leave_the_picture_go_with_their_labels():
    picture = np.zeros((1, 10, 10, 1), np.uint8)
    boxes = [[[0, 0, 2, 2], [4, 4, 6, 6], [0, 4, 4, 8], [8, 8, 10, 10]]]
    crop = T.CenterCrop(4)  # x and y from 3 to 7
    out = crop(picture, boxes=boxes, labels=[[0, 1, 2, 3]])
    assert out.boxes[0].tolist() == [[1, 1, 3, 3], [0, 1, 1, 4]] and out.labels[0].tolist() == [1, 2]
    out = crop(picture, boxes=boxes, labels=[[0, 1, 2, 3]], min_visible=0.2)  # 3/16 of box 2 is left
    assert out.boxes[0].tolist() == [[1, 1, 3, 3]] and out.labels[0].tolist() == [1]


def test_keypoints_follow_the_picture_and_stay_when_outside():
    picture = np.zeros((1, 9, 7, 1), np.uint8)
    picture[0, 2, 5] = 255
    turn = T.Compose([T.RandomFlip(p=1), T.Pad((3, 0, 1, 0)), T.RandomRotation((180, 180))])
    out = turn(picture, keypoints=[[[5.5, 2.5], [-4.0, 0.0]]])
    row, column = np.argwhere(out.images[0, ..., 0])[0]
    assert out.keypoints[0][0].tolist() == [column + 0.5, row + 0.5]
    assert len(out.keypoints[0]) == 2


def test_masks_get_no_values_that_they_did_not_have(rng):
    masks = rng.choice([3, 70, 255], (4, 24, 32)).astype(np.uint8)
    chain = T.Compose([T.RandomAffine(30, 0.2, 10, 0.3, fill_mode="constant", mask_cval=9), T.ColorJitter(0.5)])
    out = chain(photos(rng, 4), masks=masks, seed=1).masks
    assert set(np.unique(out)) == {3, 9, 70, 255}


def test_chain_of_moves_is_one_warp(rng, monkeypatch):
    calls = []
    warp = work.warp
    monkeypatch.setattr(work, "warp", lambda *args, **kwargs: calls.append(args[0].shape) or warp(*args, **kwargs))
    moves = [
        T.RandomResizedCrop(scale=(0.5, 1)),
        T.RandomFlip(),
        T.RandomAffine(20, 0.1),
        T.CenterCrop(20),
        T.RandomRotation(9),
    ]
    images = photos(rng, 3)
    chain = T.Compose(moves)(images, seed=1).images
    assert calls == [images.shape] and chain.shape == (3, 20, 20, 3)
    T.Compose([*moves, T.ColorJitter(0.2), T.Cutout()])(images, seed=1)
    assert len(calls) == 2
    T.Compose([T.Pad(1, "constant"), T.RandomRotation(9, fill_mode="reflect")])(images, seed=1)
    assert len(calls) == 4  # what lies beyond the edge differs


def test_chain_in_one_warp_is_the_chain_step_by_step(rng):
    """A smooth picture through bilinear reading once or twice: the middle, where no edge comes in, agrees."""
    rows, columns = np.mgrid[:64, :64]
    picture = (2.0 * rows + columns)[None, ..., None].astype(np.float32)  # bilinear reading is exact on a plane
    turn, zoom = T.RandomRotation((20, 20)), T.RandomAffine(zoom=(1.3, 1.3), shear=0)
    once = T.Compose([turn, zoom])(picture).images
    twice = zoom(turn(picture).images).images
    np.testing.assert_allclose(once[:, 16:48, 16:48], twice[:, 16:48, 16:48], atol=1e-3)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_moves_by_whole_pixels_are_exact(rng, order):
    images = photos(rng, 3)
    chain = T.Compose([T.RandomFlip(p=1), T.RandomRotation((180, 180), order=order), T.RandomFlip("vertical", p=1)])
    np.testing.assert_array_equal(chain(images).images, images)


def test_pairs_may_be_arrays(rng):
    pairs = {"rotation": (-9, 30), "shift": (0.1, 0.3), "shear": (10, 5), "zoom": (0.5, 0.8)}
    lists, arrays = T.RandomAffine(**pairs), T.RandomAffine(**{name: np.array(pair) for name, pair in pairs.items()})
    images = photos(rng, 3)
    np.testing.assert_array_equal(lists(images).images, arrays(images).images)
    assert lists == arrays and "shear=array([10,  5])" in repr(arrays)


def test_affine_draws_lie_in_their_ranges_and_reach_them(rng):
    spy = T.RandomAffine(rotation=(10, 30), shift=(0.1, 0.2), zoom=(0.5, 0.8))
    held = []

    class Work:
        size = (100, 50)

        def draw(self, which, count):
            return rng.random((len(which), count))

        def move(self, which, maps, fill):
            held.append(np.linalg.inv(maps))

    spy.apply(Work(), np.arange(4000))
    forward = held[0]
    zoom = np.sqrt(np.linalg.det(forward[:, :2, :2]))
    angle = np.degrees(np.arctan2(forward[:, 1, 0], forward[:, 1, 1]))
    centre = np.array([49.5, 24.5, 1.0])
    shift = (forward @ centre)[:, :2] - centre[:2]
    for values, low, high in ((zoom, 0.5, 0.8), (angle, 10, 30), (shift[:, 0], -10, 10), (shift[:, 1], -10, 10)):
        assert low - 1e-9 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-9


def test_shear_is_by_its_angle():
    matrix = affine.shears(np.array([45.0]), np.array([0.0]))[0]
    assert matrix @ [2.0, 0.0] == pytest.approx([2.0, 2.0])  # two rows down, two columns to the right
    matrix = affine.shears(np.array([0.0]), np.array([45.0]))[0]
    assert matrix @ [0.0, 2.0] == pytest.approx([2.0, 2.0])
