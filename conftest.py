"""Fixtures of all tests."""

import pytest
from pytest_django.fixtures import Settings


@pytest.fixture
def plain_static(settings: Settings) -> None:
    """Pages name their static files as they are: nothing is collected and hashed for a test."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
