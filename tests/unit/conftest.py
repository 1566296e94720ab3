"""The page and the model that tests of the kernel side talk to."""

from __future__ import annotations

import pytest

from tests.unit.explorable import FakeModel, Page


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()
