"""What dense and convolution layers have in common."""

from __future__ import annotations

from typing import Any

from cnnfast import activations, initializers, regularizers
from cnnfast.layers.arguments import refuse
from cnnfast.layers.base import Layer


class Affine(Layer):
    """A layer whose subclasses make weighted sums of the input: bias, activation, penalty on the output."""

    def __init__(
        self,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        refuse(self, bias_constraint=bias_constraint)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.bias: Any = None

    def _add_bias(self, channels: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                (channels,), self.bias_initializer, name="bias", regularizer=self.bias_regularizer
            )

    def _finish(self, y: Any) -> Any:
        y = self.activation(y)
        if self.activity_regularizer is not None:
            self.add_loss(self.activity_regularizer.penalty(y))
        return y
