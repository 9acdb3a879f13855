"""Says what is on pictures, with a network trained on ImageNet whose weights lie in a file.

    python examples/classify_image.py ResNet50 resnet50_weights_tf_dim_ordering_tf_kernels.h5 cat.jpg dog.jpg
    python examples/classify_image.py MobileNetV2 imagenet cat.jpg      # downloads the official weights

Without arguments it only shows the way: a network with random weights looks at a made-up picture.
"""

from __future__ import annotations

import sys

import numpy as np

from cnnfast import applications
from cnnfast.applications.imagenet_utils import decode_predictions, preprocess_input


def read(path: str, size: int) -> np.ndarray:
    """The middle of a picture, (size, size, 3) in 0..255."""
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        picture = ImageOps.fit(ImageOps.exif_transpose(picture).convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def main(arguments: list[str]) -> None:
    if arguments:
        name, weights, *paths = arguments
    else:
        name, weights, paths = "SqueezeNet1_1", None, []
    model = getattr(applications, name)(weights=weights)
    size = model.input_shape[1]
    pictures = [read(path, size) for path in paths] or [np.full((size, size, 3), 128, np.uint8)]
    x = preprocess_input(np.stack(pictures), mode=model.preprocessing)
    predictions = decode_predictions(model.predict(x, verbose=0), top=3)
    for path, best in zip(paths or ["a grey picture"], predictions, strict=True):
        print(path + ":", ", ".join(f"{label} {score:.2f}" for _, label, score in best))


if __name__ == "__main__":
    main(sys.argv[1:])
