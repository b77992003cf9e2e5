"""Saved mappings of CSV columns. Changing one changes how the next file is read, never one that was read before."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import User
from ingestion.errors import ProfileExists
from ingestion.models import ImportProfile


def create_profile(*, user: User, name: str, header_digest: str, options: dict[str, Any]) -> ImportProfile:
    """Raises ProfileExists: one set of columns is read in one way."""
    try:
        with transaction.atomic():
            return ImportProfile.objects.create(user=user, name=name, header_digest=header_digest, options=options)
    except IntegrityError as exc:
        raise ProfileExists("Change the profile that you have for these columns, or delete it first.") from exc


def change_profile(*, profile: ImportProfile, values: Mapping[str, Any]) -> ImportProfile:
    """values: name, options."""
    for name, value in values.items():
        setattr(profile, name, dict(value) if name == "options" else value)
    profile.save(update_fields=list(values))
    return profile
