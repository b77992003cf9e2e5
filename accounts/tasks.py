"""What beat asks of accounts."""

from celery import shared_task

from accounts import services


@shared_task(ignore_result=True)
def purge_expired() -> None:
    services.purge_expired()
