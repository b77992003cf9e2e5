"""Query parameters of the lists."""

import django_filters as filters

from ingestion.models import JobStatus, SyncRun


class SyncRunFilter(filters.FilterSet):
    status = filters.ChoiceFilter(choices=JobStatus.choices)
    trigger = filters.ChoiceFilter(choices=SyncRun.Trigger.choices)
    source = filters.UUIDFilter(field_name="pulls__source")

    class Meta:
        model = SyncRun
        fields: list[str] = []
