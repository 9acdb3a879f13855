"""Models of every shape that a file must hold."""

from __future__ import annotations

import numpy as np

from cnnfast import Input, Model, Sequential, layers, ops

IMAGE = (6, 6, 2)


def stack() -> Sequential:
    return Sequential(
        [
            Input(IMAGE),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def stack_without_input() -> Sequential:
    model = Sequential([layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    model.build((None, *IMAGE))
    return model


def branches() -> Model:
    x = Input(IMAGE)
    left = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    right = layers.Conv2D(3, 1, strides=1)(x)
    joined = layers.Concatenate()([layers.Add()([left, right]), left])
    return Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(joined)))


def several_inputs_and_outputs() -> Model:
    a, b = Input(IMAGE, name="a"), Input((4,), name="b")
    features = layers.Dense(5, name="features")(layers.Flatten()(a))
    both = layers.Concatenate(name="both")([features, b])
    return Model([a, b], [layers.Dense(1, name="one")(both), layers.Dense(2, name="two")(features)])


def shared_layer() -> Model:
    x = Input(IMAGE)
    same = layers.Conv2D(2, 3, padding="same", name="same")
    return Model(x, layers.Flatten()(same(same(x))))


def nested() -> Model:
    """A model used twice, and one of its layers used once more outside of it."""
    u = Input(IMAGE)
    conv = layers.Conv2D(2, 3, padding="same", name="inside")
    inner = Model(u, [conv(u), layers.Flatten()(u)], name="inner")
    head = Sequential([Input((6 * 6 * 2,)), layers.Dense(3)], name="head")
    x = Input(IMAGE)
    images, _ = inner(x)
    images, flat = inner(images)
    return Model(x, [head(layers.Flatten()(conv(images))), head(flat)])


def ops_between_layers() -> Model:
    """Ops on values, one of them with an array whose every bit matters."""
    x = Input(IMAGE)
    scaled = ops.multiply(x, np.array([0.1, -np.inf], np.float32))
    y = ops.concatenate([ops.relu(ops.add(scaled, x)), x])
    return Model(x, ops.reshape(y, (-1, 2), keep_batch=True))


def every_other_layer() -> Model:
    """All registered layers that no other network has."""
    x = Input(IMAGE)
    y = layers.ZeroPadding2D(((1, 2), (0, 1)))(layers.Rescaling(0.5, offset=-1)(x))
    y = layers.ELU(0.3)(layers.DepthwiseConv2D(3, depth_multiplier=2)(y))
    y = layers.LeakyReLU(0.1)(layers.SeparableConv2D(3, 2, padding="same")(y))
    y = layers.ReLU(6.0)(layers.Conv2DTranspose(2, 3, strides=2, output_padding=1)(y))
    y = layers.SpatialDropout2D(0.2)(layers.AveragePooling2D((2, 1), padding="same")(y))
    y = layers.Cropping2D((1, 0))(layers.UpSampling2D(2, interpolation="bilinear")(y))
    y = layers.Identity()(layers.Activation("tanh")(y))
    a, b = layers.GlobalMaxPooling2D()(y), layers.GlobalAveragePooling2D()(y)
    joined = [layers.Subtract()([a, b]), layers.Multiply()([a, b]), layers.Average()([a, b])]
    return Model(x, [layers.Softmax()(v) for v in joined] + [layers.Reshape((-1, 1))(a)])


def photos() -> Sequential:
    """What a pre-trained base wants of its input, before it."""
    return Sequential([Input((6, 6, 3)), layers.Preprocess("caffe"), layers.Conv2D(2, 3)])


def frozen() -> Model:
    """Some layers, and a whole model within the model, are not trained."""
    base = Sequential([Input(IMAGE), layers.Conv2D(2, 3), layers.BatchNormalization()], name="base")
    base.trainable = False
    base.layers[0].trainable = True
    return Sequential([Input(IMAGE), base, layers.Flatten(), layers.Dense(2, trainable=False), layers.Dense(1)])


NETWORKS = {
    f.__name__: f
    for f in (
        stack,
        stack_without_input,
        branches,
        several_inputs_and_outputs,
        shared_layer,
        nested,
        ops_between_layers,
        every_other_layer,
        photos,
        frozen,
    )
}


def inputs_of(model: Model, samples: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((samples, *v.shape[1:])).astype(np.float32) for v in model.inputs]


def randomize(model: Model) -> None:
    """Gives all weights, moving statistics included, values that no initializer gives."""
    rng = np.random.default_rng(1)
    for w in model.weights:
        w.assign(rng.uniform(0.5, 1.5, w.shape))


def bits(arrays: object) -> list[bytes]:
    """What must be the same, NaN and signs of zero included."""
    return [np.asarray(a).tobytes() for a in (arrays if isinstance(arrays, (list, tuple)) else [arrays])]
