"""Images: augmentation, decoding, folders, data sets."""
