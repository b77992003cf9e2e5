"""The worker's sign of life."""

from celery import shared_task

from stackmotive import health


@shared_task(ignore_result=True)
def beat_heart() -> None:
    health.beat()
