"""Normalization layers."""

from __future__ import annotations

from typing import Any

from cnnfast import initializers, ops, regularizers
from cnnfast.layers.arguments import last_dimension, number, refuse
from cnnfast.layers.base import Layer


class BatchNormalization(Layer):
    """Gives each channel mean 0 and variance 1, then scales and shifts it.

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta. In training, mean and (biased) variance are
    those of the batch, over all axes but the last, and the moving averages follow:
    moving = momentum * moving + (1 - momentum) * batch. Otherwise, and if `trainable` is False, the moving
    averages are used.

    Input (N, ..., C), output the same; weights `gamma`, `beta`, `moving_mean`, `moving_variance`, each (C,).

    Args:
        axis: -1 or the number of the last axis, the only ones.
        momentum: of the moving averages; default 0.99.
        epsilon: added to the variance; default 0.001.
        center: whether `beta` is added. Default True.
        scale: whether `gamma` multiplies. Default True.
        beta_initializer: default "zeros".
        gamma_initializer: default "ones".
        moving_mean_initializer: default "zeros".
        moving_variance_initializer: default "ones".
        beta_regularizer: penalty on beta; default None.
        gamma_regularizer: penalty on gamma; default None.
        beta_constraint: not supported.
        gamma_constraint: not supported.
        synchronized: not supported; nor are `renorm` and what belongs to it.

    Raises:
        ValueError: an argument out of range, another axis than the last.

    Example:
        >>> BatchNormalization()(np.array([[1.0], [3.0]]), training=True).round(2).ravel().tolist()
        [-1.0, 1.0]

    Source: Ioffe and Szegedy, "Batch normalization" (2015).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        refuse(
            self,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            renorm=renorm or None,
            renorm_clipping=renorm_clipping,
            synchronized=synchronized or None,
        )
        self.axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        self.momentum = number(self, "momentum", momentum, 0.0, 1.0)
        self.epsilon = number(self, "epsilon", epsilon, 0.0)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def build(self, input_shape: Any) -> None:
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(
                f"{self.name}: BatchNormalization normalizes the last axis, got axis={self.axis!r} for input "
                f"{tuple(input_shape)}"
            )
        shape = (last_dimension(self, input_shape),)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, name="gamma", regularizer=self.gamma_regularizer
            )
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta", regularizer=self.beta_regularizer)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False
        )

    def call(self, x: Any, training: bool = False) -> Any:
        if not (training and self.trainable):
            return ops.batch_norm_inference(
                x, self.gamma, self.beta, self.moving_mean, self.moving_variance, epsilon=self.epsilon
            )
        y, mean, variance = ops.batch_norm(x, self.gamma, self.beta, epsilon=self.epsilon)
        ops.moving_average_update(self.moving_mean, mean, momentum=self.momentum)
        ops.moving_average_update(self.moving_variance, variance, momentum=self.momentum)
        return y
