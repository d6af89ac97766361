"""Protects the sentences that tell a user what is missing and how to get it."""

from __future__ import annotations

import importlib.util

import pytest
from landloom.install import PACKAGES, how_to_get, package_state
from landloom.model.base.errors import MissingPackageError
from landloom.model.base.optional import need


def test_what_is_here_has_its_version():
    import numpy

    assert package_state("numpy") == numpy.__version__


def test_what_is_missing_is_none(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert all(package_state(package.module) is None for package in PACKAGES)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.module)
def test_each_package_has_advice(package):
    assert how_to_get(package.module).endswith(".")
    assert package.needed_for


def test_an_unknown_package_has_advice_too():
    assert "pip install something" in how_to_get("something")


def test_a_missing_package_is_named_with_its_purpose():
    with pytest.raises(MissingPackageError, match=r"The network ltae needs the Python package no_such_thing") as caught:
        need("no_such_thing.part", "The network ltae")
    assert caught.value.package == "no_such_thing"
