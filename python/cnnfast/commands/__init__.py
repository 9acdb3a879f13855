"""The commands that train on folders of images and use what came out: `train`, `evaluate`, `predict`."""
