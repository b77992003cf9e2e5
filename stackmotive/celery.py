"""The worker's application: `celery -A stackmotive worker`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stackmotive.settings")

app = Celery("stackmotive")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
