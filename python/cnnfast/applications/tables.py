"""The numbers that make the networks: what changes from block to block. Plain data, which needs no engine."""

from __future__ import annotations

# Filters and convolutions of the five blocks: configurations D and E of Simonyan and Zisserman (2014), table 1.
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
VGG19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))

# Filters and blocks of the four stages: He et al. (2015), table 1.
RESNET18 = ((64, 2), (128, 2), (256, 2), (512, 2))
RESNET34 = RESNET50 = ((64, 3), (128, 4), (256, 6), (512, 3))
RESNET101 = ((64, 3), (128, 4), (256, 23), (512, 3))

# Filters and strides of the separable convolutions: Howard et al. (2017), table 1.
MOBILENET = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip

# Expansion, filters, repeats, strides of the first: Sandler et al. (2018), table 2.
MOBILENET_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip

# Window, expansion, filters, repeats, strides of the first: Tan and Le (2019), table 1, as EfficientNet-Lite has it.
EFFICIENTNET_LITE0 = (
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1), (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)  # fmt: skip

# Squeeze and expand filters of fire2 to fire9: Iandola et al. (2016), table 1.
SQUEEZENET = (
    (16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256),
)  # fmt: skip

# Layers of the four dense blocks: Huang et al. (2017), table 1; growth rate 32.
DENSENET121 = (6, 12, 24, 16)


def make_divisible(v: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to v, but not more than a tenth below it.

    Source: https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet/mobilenet.py.

    Example:
        >>> make_divisible(33.6), make_divisible(11.2)
        (32, 16)
    """
    rounded = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded
