"""What can go wrong while training."""

from __future__ import annotations

import math


class NonFiniteLoss(ValueError):
    """The loss of a batch, or the gradient of one written in NumPy, became NaN or infinite.

    The weights are those before that batch.

    Attributes:
        loss: the value.
        what: what has that value.
        epoch: number of the epoch, from 0, or None outside of `fit`.
        batch: number of the batch within the epoch, from 0, or None outside of `fit`.
    """

    def __init__(self, loss: float, epoch: int | None = None, batch: int | None = None, what: str = "the loss"):
        self.loss, self.epoch, self.batch, self.what = float(loss), epoch, batch, what
        where = "" if epoch is None or batch is None else f" in epoch {epoch + 1}, batch {batch + 1}"
        value = "NaN" if math.isnan(self.loss) else str(self.loss)
        super().__init__(
            f"training: {what} became {value}{where}; the weights are those before that batch. Look for "
            "NaN or huge values in the data, lower the learning rate, or clip the gradients (clipnorm=1.0)"
        )
