"""Accuracy of maps: assessment, comparison, sampling designs and area estimates."""
