"""The health inbox: what wants attention, worst first."""

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When

from accounts.models import User
from portfolio.models import Finding

SEVERITIES = (Finding.Severity.CRITICAL, Finding.Severity.WARNING, Finding.Severity.INFO)
DISMISSED = Q(dismissed_evidence=F("evidence"))


def findings(user: User, *, dismissed: bool | None = None) -> QuerySet[Finding]:
    """By severity, then effect in money; what cannot be told in money comes before what is known to be small.

    dismissed: only those that are, or are not; None for all.
    """
    rank = Case(
        *(When(severity=severity, then=Value(place)) for place, severity in enumerate(SEVERITIES)),
        output_field=IntegerField(),
    )
    rows: QuerySet[Finding] = Finding.objects.visible_to(user).select_related("account", "instrument")
    if dismissed is not None:
        rows = rows.filter(DISMISSED) if dismissed else rows.exclude(DISMISSED)
    return rows.order_by(rank, F("effect_base").desc(nulls_first=True), "key")
