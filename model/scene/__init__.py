"""The simulator of the sample scene."""

from .simulation import Summary, check_folder, simulate

__all__ = ["Summary", "check_folder", "simulate"]
