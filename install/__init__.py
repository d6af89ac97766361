"""What is missing and how to get it; imports nothing of ours."""

from .packages import PACKAGES, Package, how_to_get, package_state

__all__ = ["PACKAGES", "Package", "how_to_get", "package_state"]
