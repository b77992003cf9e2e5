"""What staff may do to people."""

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_nobody_is_deleted_over_the_admin(browser: Any, staff: User, owner: User) -> None:
    """The application may not delete facts, so a deletion could only fail; a person is deactivated instead."""
    client, address = browser(staff), reverse("admin:accounts_user_changelist")
    deletion = reverse("admin:accounts_user_delete", args=[owner.pk])
    shown = client.get(reverse("admin:accounts_user_change", args=[owner.pk]))
    assert shown.status_code == 200
    assert deletion not in shown.text
    assert "delete_selected" not in client.get(address).text
    assert client.post(deletion, {"post": "yes"}).status_code == 403
    client.post(address, {"action": "delete_selected", "_selected_action": [str(owner.pk)], "post": "yes"})
    assert User.objects.filter(pk=owner.pk).exists()
