"""The health inbox in a browser."""

from collections.abc import Callable

import pytest
from django.template import Context, Template
from django.test import Client

from accounts.models import User
from federation.services import reconcile
from federation.tests.factories import covers, make_source, position, stage, trade
from portfolio import services
from portfolio.models import Finding

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


def unexplained(user: User) -> Finding:
    """A report with three units more than the transactions lead to."""
    source = make_source(user, "ibkr_flex")
    stage(
        source, rows=[trade("01-04", "10", "100")],
        positions=[position("01-31", "10"), position("02-29", "13")],
        coverage=[covers("transactions", "01-01", "02-29"), covers("positions", "01-31"), covers("positions", "02-29")],
    )  # fmt: skip
    reconcile(user.pk)
    services.refresh(user_id=user.pk)
    return Finding.objects.get(user=user, kind="unexplained_quantity")


def test_finding_says_what_is_wrong_and_where_to_mend_it(browser: Browser, owner: User) -> None:
    finding = unexplained(owner)
    html = browser(owner).get("/findings/").content.decode()
    assert f"/holdings/{finding.instrument_id}/provenance/?account={finding.account_id}" in html
    assert 'href="/import/">Import a statement</a>' in html
    assert f"/findings/{finding.pk}/dismiss/" in html


def test_dismissed_finding_is_put_aside_and_comes_back(browser: Browser, owner: User) -> None:
    finding, client = unexplained(owner), browser(owner)
    html = client.post(f"/findings/{finding.pk}/dismiss/", headers={"HX-Request": "true"}).content.decode()
    finding.refresh_from_db()
    assert finding.dismissed_evidence == finding.evidence
    assert "Put aside" in html
    assert "Show again" in html
    client.post(f"/findings/{finding.pk}/dismiss/", {"restore": "1"})
    finding.refresh_from_db()
    assert finding.dismissed_evidence == ""


def test_stranger_sees_and_dismisses_nothing(browser: Browser, owner: User, stranger: User) -> None:
    finding, client = unexplained(owner), browser(stranger)
    assert client.post(f"/findings/{finding.pk}/dismiss/").status_code == 404
    finding.refresh_from_db()
    assert finding.dismissed_evidence == ""
    assert "Nothing wants your attention" in client.get("/findings/").content.decode()
    assert client.get("/findings/count/").content.decode().strip() == ""


def test_money_and_quantities_of_a_sentence_can_be_hidden() -> None:
    francs = "CHF\u00a012.00"
    shown = Template("{% load figures %}{{ text|amounts }}").render(
        Context({"text": "3 KO <b> since 29 Feb 2024: €1,200.50 and " + francs})
    )
    hidden = '<span class="amt"><span>{}</span></span>'
    assert shown == (
        f"{hidden.format('3')} KO &lt;b&gt; since 29 Feb 2024: {hidden.format('€1,200.50')} and {hidden.format(francs)}"
    )
