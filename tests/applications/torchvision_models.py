"""torchvision beside a PyTorch that it was not built for: its models need none of its compiled operators."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def models():
    """`torchvision.models`; skips the module that asks where torchvision is not installed."""
    return beside_torch("torchvision.models")


def beside_torch(name):
    """A module that imports torchvision; skips the module that asks where it is not installed."""
    register_fake = torch.library.register_fake
    # Registers shapes of compiled operators, which fails where these are not there.
    torch.library.register_fake = lambda *args, **kwargs: lambda function: function
    try:
        return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)
    finally:
        torch.library.register_fake = register_fake


def randomized(model, seed):
    """All that a layer may hold, batch normalization's averages too, at random: nothing stays 0 or 1, and
    signals neither grow nor fade, so that differences do not either."""
    generator = torch.Generator().manual_seed(seed)
    for name, a in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if a.ndim > 1:
            a.normal_(0.0, a[0].numel() ** -0.5, generator=generator)
        elif name.endswith(("var", "weight")):
            a.uniform_(0.5, 1.5, generator=generator)
        else:
            a.normal_(0.0, 0.1, generator=generator)
    return model.eval()
