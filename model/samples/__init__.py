"""Reference data, splits and folds, extraction, the sample store."""
