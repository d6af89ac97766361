"""The block runner and what is computed with it: classification."""
