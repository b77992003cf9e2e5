"""Accounts by hand: what a user makes, sets and deletes. What is set counts in the ledger, so it is a fact."""

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify

from accounts.facts import next_fact_number
from accounts.models import User
from federation import selectors
from federation.errors import AccountClaimed
from federation.models import AccountLink, AccountSetting, BrokerAccount, Institution
from federation.services.reconciliation import lock_ledger, reconcile
from ingestion.services.sources import announce_facts

CAUSE = "account"
SETTINGS = ("tracking", "cash_mode", "allows_short", "cost_basis_method")
DETAILS = ("name", "reference", "currency", "kind")


@transaction.atomic
def create_account(*, user: User, institution: str = "", **values: Any) -> BrokerAccount:
    """A new account. values: of DETAILS and SETTINGS; institution: its name, known or new."""
    account = BrokerAccount(user=user, institution=institution_named(institution), **values)
    account.save(force_insert=True)
    number = next_fact_number(user_id=user.pk, cause=CAUSE)
    _record(account, {name: getattr(account, name) for name in (*DETAILS, *SETTINGS)}, number=number)
    announce_facts(user_id=user.pk)
    return account


def update_account(*, account: BrokerAccount, institution: str | None = None, **values: Any) -> BrokerAccount:
    """Change an account. A changed setting makes the ledger of the account be computed again."""
    with transaction.atomic():
        account = BrokerAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
        if institution is not None:
            values["institution"] = institution_named(institution)
        changed = {name: value for name, value in values.items() if getattr(account, name) != value}
        if changed:
            number = next_fact_number(user_id=account.user_id, cause=CAUSE)  # what it was is kept until this number
            told = {name: value for name, value in changed.items() if name != "institution"}
            _record(account, {name: getattr(account, name) for name in told if not _is_told(account, name)}, number=0)
            _record(account, told, number=number)
            for name, value in changed.items():
                setattr(account, name, value)
            account.save(update_fields=list(changed))
    if changed:
        reconcile(account.user_id, cause=CAUSE)
    return account


@transaction.atomic
def delete_account(*, account: BrokerAccount) -> None:
    """Delete an account that nothing in force speaks of. Raises AccountClaimed."""
    lock_ledger(account.user_id)
    if BrokerAccount.objects.filter(Q(pk=account.pk, merged_into__isnull=False) | Q(merged_into=account.pk)).exists():
        raise AccountClaimed("It is one with another account. Take that decision back first.")
    if account.transactions.exists() or selectors.contents_naming(account).exists():
        raise AccountClaimed(
            "Undo the imports and delete the rows by hand that belong to it first, or ignore their reference."
        )
    next_fact_number(user_id=account.user_id, cause=CAUSE)  # until which it was known
    AccountLink.objects.filter(account=account).delete()
    AccountLink.objects.filter(automatic=account).delete()
    account.delete()
    announce_facts(user_id=account.user_id)


def institution_named(name: str) -> Institution | None:
    """The institution of that name, made where it is new; null for no name."""
    slug = slugify(name)[:100]
    if not slug:
        return None
    return Institution.objects.get_or_create(slug=slug, defaults={"name": name.strip()[:100]})[0]


def _is_told(account: BrokerAccount, name: str) -> bool:
    """What an account was made with counts until the first change, also where it was made without a word of the user."""
    return AccountSetting.objects.filter(account=account, key=name).exists()


def _record(account: BrokerAccount, values: dict[str, Any], *, number: int) -> None:
    AccountSetting.objects.bulk_create(
        AccountSetting(account=account, key=name, value=value, number=number) for name, value in values.items()
    )
