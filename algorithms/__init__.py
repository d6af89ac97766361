"""Thin Processing wrappers round the engine, one class a file."""
