"""MixUp, CutMix, Cutout, RandomErasing."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.image import transforms as T
from tests.image.pictures import photos

# pictures of one value each, so that a mixture tells its parts
VALUES = np.arange(8) * 30
FLAT = np.broadcast_to(VALUES[:, None, None, None], (8, 20, 30, 3)).astype(np.uint8)
LABELS = np.arange(8)


@pytest.mark.parametrize("mix", [T.MixUp(8, alpha=1.0), T.CutMix(8), T.OneOf([T.MixUp(8, 1.0), T.CutMix(8)])], ids=repr)
def test_labels_are_mixed_as_pixels_are(mix):
    for seed in range(5):
        out = mix(FLAT, labels=LABELS, seed=seed)
        assert out.labels.dtype == np.float32 and out.labels.shape == (8, 8) and (out.labels >= 0).all()
        np.testing.assert_allclose(out.labels.sum(1), 1, atol=1e-6)
        # the mean of the pixels is that of the classes' values, by their shares; rounded to whole values
        np.testing.assert_allclose(out.images.mean((1, 2, 3)), out.labels @ VALUES, atol=0.51)
        assert ((out.labels > 0).sum(1) <= 2).all()


def partners(mix, samples, seed=0):
    """Who is mixed with whom, by number of the sample."""
    images, labels = np.zeros((len(samples), 4, 4, 1), np.uint8), np.arange(len(samples))
    shares = mix(images, labels=labels, samples=samples, seed=seed).labels
    own = np.arange(len(samples))
    shares[own, own] = 0
    return {int(samples[i]): int(samples[shares[i].argmax()]) for i in own}


@pytest.mark.parametrize("kind", [T.MixUp, T.CutMix])
def test_everybody_meets_one_other_and_order_does_not_matter(kind, rng):
    mix = kind(9, alpha=50.0)  # close to half and half
    samples = np.array([4, 90, 17, 3, 5, 66, 41, 8, 29])
    found = partners(mix, samples)
    assert sorted(found.values()) == sorted(samples.tolist())
    assert all(one != other for one, other in found.items())
    assert partners(mix, rng.permutation(samples)) == found
    assert partners(mix, samples, seed=1) != found


def test_alone_in_a_batch_nothing_is_mixed(rng):
    image = photos(rng, 1)
    for mix in (T.MixUp(3, alpha=1.0), T.CutMix(3)):
        out = mix(image, labels=[2])
        np.testing.assert_array_equal(out.images, image)
        np.testing.assert_allclose(out.labels, [[0, 0, 1]])


def mixed_labels(mix, count, batch=50):
    """Labels of batches in which every image has a class of its own."""
    images, labels = np.zeros((batch, 1, 1, 1), np.uint8), np.eye(batch)
    for start in range(0, count, batch):
        yield mix(images, labels=labels, seed=1, samples=np.arange(start, start + batch)).labels


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)), each within four standard errors."""
    count = 4000
    shares = np.concatenate([np.diag(labels) for labels in mixed_labels(T.MixUp(alpha=alpha), count)])
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 4 * np.sqrt(variance / count)
    fourth = np.mean((shares - 0.5) ** 4)
    assert abs(np.mean((shares - 0.5) ** 2) - variance) < 4 * np.sqrt((fourth - variance**2) / count)


def test_cutmix_pastes_one_rectangle_at_its_place():
    place = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None] * 5, (20, 30, 1))
    images = np.stack([place, place + 100]).astype(np.uint8)
    masks = np.stack([np.full((20, 30), 1), np.full((20, 30), 2)]).astype(np.uint8)
    for seed in range(10):
        out = T.CutMix(2)(images, masks=masks, labels=[0, 1], seed=seed)
        for i in (0, 1):
            pasted = out.masks[i] != i + 1
            np.testing.assert_array_equal(out.images[i], np.where(pasted[..., None], images[1 - i], images[i]))
            assert out.labels[i, 1 - i] == pytest.approx(pasted.mean(), abs=1e-6)
            inside = np.argwhere(pasted)
            if len(inside):
                (top, left), (bottom, right) = inside.min(0), inside.max(0) + 1
                assert pasted[top:bottom, left:right].all()


def test_mixing_happens_as_often_as_said():
    mixed = np.concatenate([(labels > 0).sum(1) == 2 for labels in mixed_labels(T.MixUp(alpha=5.0, p=0.3), 2000)])
    assert abs(mixed.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2000)


def test_labels_of_one_probability_keep_their_shape():
    for labels in (np.array([0, 1, 1, 0]), np.array([[0], [1], [1], [0]])):
        out = T.MixUp(1, alpha=1.0)(FLAT[:4], labels=labels).labels
        assert out.shape == labels.shape and out.dtype == np.float32 and ((out >= 0) & (out <= 1)).all()
        np.testing.assert_array_equal(T.MixUp(1).plain_labels(labels), labels)


@pytest.mark.parametrize(
    ("mix", "arguments", "message"),
    [
        (T.MixUp(8), {}, "MixUp: labels are needed"),
        (T.Compose([T.RandomFlip(), T.RandomApply(T.CutMix(8), 0.01)]), {}, "CutMix: labels are needed"),
        (T.MixUp(), {"labels": LABELS}, "so num_classes is needed"),
        (T.MixUp(7), {"labels": LABELS}, "must be classes from 0 to 6, has values from 0 to 7"),
        (T.MixUp(8), {"labels": np.eye(7)[np.zeros(8, int)]}, r"labels must be \(N, 8\), came \(8, 7\)"),
        (T.MixUp(8), {"labels": LABELS + 0.5}, "whole class numbers"),
        (T.MixUp(1), {"labels": LABELS}, "must lie in 0 to 1"),
        (T.MixUp(8), {"labels": LABELS, "masks": FLAT}, "masks cannot be mixed"),
        (T.CutMix(8), {"boxes": [[]] * 8}, "cannot mix boxes"),
        (T.CutMix(8), {"labels": LABELS, "keypoints": [[]] * 8}, "cannot mix boxes or keypoints"),
    ],
)
def test_what_cannot_be_mixed_is_refused_before_anything_is_drawn(mix, arguments, message):
    with pytest.raises(ValueError, match=message):
        mix(FLAT, **arguments)


WHITE = np.full((400, 20, 30, 3), 255, np.uint8)


def test_cutout_covers_squares_that_may_stick_out():
    covered = T.Cutout(6)(WHITE, seed=1).images[..., 0] == 0
    areas = covered.sum((1, 2))
    assert areas.max() == 36 and 9 <= areas.min() < 36
    for picture in covered:
        rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
        assert picture.sum() == len(rows) * len(columns) and max(len(rows), len(columns)) <= 6
    # every pixel is covered about as often as any other but near the edge
    assert covered.mean(0)[10, 15] == pytest.approx(36 / 600, abs=4 * np.sqrt(0.06 * 0.94 / 400))
    share = T.Cutout(0.5, p=0.5)(WHITE, seed=1).images[..., 0] == 0
    assert share.sum((1, 2)).max() == 100
    assert abs(share.any((1, 2)).mean() - 0.5) < 4 * 0.5 / np.sqrt(400)


def test_erased_rectangles_keep_to_scale_and_ratio_and_lie_inside():
    transform = T.RandomErasing(p=0.7, scale=(0.1, 0.3), ratio=(0.5, 2.0))
    covered = transform(WHITE, seed=1).images[..., 0] == 0
    hit = covered.any((1, 2))
    assert abs(hit.mean() - 0.7) < 4 * np.sqrt(0.7 * 0.3 / 400)
    for picture in covered[hit]:
        height, width = picture.any(1).sum(), picture.any(0).sum()
        assert picture.sum() == height * width
        assert 0.08 < height * width / 600 < 0.33 and 0.4 < height / width < 2.4  # whole pixels


def test_fills(rng):
    images = photos(rng, 5)
    for fill in (0, 200, "mean", "noise"):
        out = T.Cutout(50, fill=fill)(images, seed=2).images  # covers a lot
        changed = (out != images).any(3)
        for image, after, part in zip(images, out, changed, strict=True):
            values = after[part]
            if fill == "mean":
                assert (values == np.rint(image.mean((0, 1)))).all()
            elif fill == "noise":
                assert len(np.unique(values)) > 100
            else:
                assert (values == fill).all()
    floats = T.Cutout(50, fill=51)(np.ones((1, 9, 9, 1), np.float32), value_range=1.0).images
    assert set(np.unique(floats)) <= {np.float32(0.2), np.float32(1)} and np.float32(0.2) in floats


def test_masks_are_not_covered():
    masks = np.ones((400, 20, 30), np.uint8)
    assert T.Cutout()(WHITE, masks=masks).masks.all()
