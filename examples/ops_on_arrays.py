"""Ops without any model: a convolution by hand, its gradient, and a check against finite differences."""

import numpy as np

from cnnfast import ops

rng = np.random.default_rng(0)
x = rng.standard_normal((1, 6, 6, 1)).astype("float32")
edges = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype="float32").reshape(3, 3, 1, 1)

y = ops.relu(ops.conv2d(x, edges, padding="same"))
print("the positive vertical edges of a random picture:\n", np.round(y[0, :, :, 0], 2))

dy = ops.relu_backward(np.ones_like(y), y)  # gradient of sum(y)
dx, dw, db = ops.conv2d_backward(dy, x, edges, padding="same")

step = 1e-2
moved = edges.copy()
moved[1, 1, 0, 0] += step
finite = (ops.relu(ops.conv2d(x, moved, padding="same")).sum() - y.sum()) / step
print(f"d sum(y) / d w[1,1]: {dw[1, 1, 0, 0]:.3f} by the kernel, {finite:.3f} by a finite difference")
