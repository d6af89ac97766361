"""The simulator of the sample scene."""
