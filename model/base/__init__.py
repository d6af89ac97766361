"""Errors, progress, device, files, nomenclature, metrics and reports; imports nothing of ours."""
