"""Training: the loop of `fit`, what feeds it, what it prints."""
