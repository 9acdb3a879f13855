"""A layer and a loss of one's own: a squeeze-and-excitation block, and the focal loss written in NumPy."""

import numpy as np

import cnnfast
from cnnfast import layers, ops


class SqueezeExcite(layers.Layer):
    """Scales each channel by what the whole picture says of it (Hu, Shen and Sun, 2018)."""

    def __init__(self, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape):
        channels = input_shape[-1]
        self.squeeze = self.add_weight((channels, channels // self.reduction), name="squeeze")
        self.excite = self.add_weight((channels // self.reduction, channels), name="excite")

    def call(self, x):
        summary = ops.global_average_pool2d(x)
        weights = ops.sigmoid(ops.dense(ops.relu(ops.dense(summary, self.squeeze)), self.excite))
        weights = ops.reshape(weights, (1, 1, -1), keep_batch=True)
        return ops.multiply(x, ops.upsample2d(weights, size=x.shape[1:3]))


def focal_loss(y_true, y_pred, gamma=2.0):
    """-(1-p)^gamma log p of the true class (Lin et al., 2017), and its gradient by y_pred."""
    rows = np.arange(len(y_pred))
    p = np.clip(y_pred[rows, y_true], 1e-7, 1.0)
    loss = -((1 - p) ** gamma) * np.log(p)
    gradient = np.zeros_like(y_pred)
    gradient[rows, y_true] = (gamma * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma / p) / len(p)
    return loss.mean(), gradient


cnnfast.utils.set_random_seed(2)
(x_train, y_train), (x_test, y_test) = cnnfast.datasets.digits()
model = cnnfast.Sequential(
    [
        cnnfast.Input((28, 28, 1)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(16, 5, strides=2, activation="relu"),
        SqueezeExcite(),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss=focal_loss)
model.fit(x_train[..., None], y_train.astype("int64"), batch_size=64, epochs=4, verbose=2)
accuracy = np.mean(model.predict(x_test[..., None], verbose=0).argmax(axis=1) == y_test)
print(f"test accuracy {accuracy:.3f}")
assert accuracy > 0.85
