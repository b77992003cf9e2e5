"""Saved mappings of CSV columns."""

from typing import Any

from ingestion.models import ImportProfile


def rename_profile(*, profile: ImportProfile, name: str) -> ImportProfile:
    profile.name = name
    profile.save(update_fields=["name"])
    return profile


def change_profile(*, profile: ImportProfile, options: dict[str, Any]) -> ImportProfile:
    """What is said about these columns from the next file on; files read before stay as they are."""
    profile.options = options
    profile.save(update_fields=["options"])
    return profile
