"""cnnfast: convolutional networks on the computer you have."""

from cnnfast import ops
from cnnfast._version import __version__

__all__ = ["__version__", "ops"]
