"""A network with a branch: two paths over the same digits, added together (a residual block), and a second output."""

import numpy as np

import cnnfast
from cnnfast import layers

cnnfast.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = cnnfast.datasets.digits()
x_train, x_test = x_train[..., None], x_test[..., None]

inputs = cnnfast.Input((28, 28, 1))
x = layers.Rescaling(1 / 255)(inputs)
x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
x = layers.Activation("relu")(layers.BatchNormalization()(x))
shortcut = x
x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
x = layers.Conv2D(16, 3, padding="same")(x)
x = layers.Activation("relu")(layers.Add()([x, shortcut]))
x = layers.GlobalAveragePooling2D(name="features")(layers.MaxPooling2D(2)(x))
digit = layers.Dense(10, activation="softmax", name="digit")(x)
round_shape = layers.Dense(1, activation="sigmoid", name="round")(x)
model = cnnfast.Model(inputs, [digit, round_shape])
model.summary()

is_round = np.isin(y_train, [0, 6, 8, 9]).astype("float32")
model.compile(
    optimizer=cnnfast.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
    loss=["sparse_categorical_crossentropy", "binary_crossentropy"],
    loss_weights=[1.0, 0.3],
)
model.fit(x_train, [y_train, is_round], batch_size=64, epochs=6, verbose=2)

features = cnnfast.Model(inputs, model.get_layer("features").output)
print("features of one digit:", features.predict(x_test[:1], verbose=0).shape)
accuracy = np.mean(model.predict(x_test, verbose=0)[0].argmax(axis=1) == y_test)
print(f"test accuracy {accuracy:.3f}")
assert accuracy > 0.8
