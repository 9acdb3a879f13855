"""Images: reading files and folders, transforming and augmenting what is in them."""
