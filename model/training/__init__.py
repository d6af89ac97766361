"""The training loop, augmentation, normalisation, checkpoints."""
