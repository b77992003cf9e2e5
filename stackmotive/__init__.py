"""The frame: settings, URLs, processes; `common` below all apps."""

from stackmotive.celery import app as celery_app

__all__ = ["celery_app"]
