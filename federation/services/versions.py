"""The ledger as it followed from the facts that were known at a time (DESIGN 5.1; docs/decisions/known-at.md)."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Q
from psycopg import sql

from accounts.models import FactVersion, User, UserSetting
from federation.models import (
    AccountLink,
    AccountSetting,
    BrokerAccount,
    FormerName,
    Institution,
    Instrument,
    InstrumentIdentifier,
    InstrumentLink,
    LedgerState,
    LedgerVersion,
    Listing,
)
from federation.proposals import propose_accounts
from federation.services.linking import link_transfers
from federation.services.reconciliation import REBUILD, draft_of, write_draft
from ingestion.models import Source, SourceSetting
from stackmotive.common.shadows import real, shadow_table, shadow_transaction, shadow_view

MARKET = "market"  # cause of a version that brought newer shared prices or rates
NAMES = (Institution, BrokerAccount, AccountLink, Instrument, Listing, InstrumentIdentifier, InstrumentLink)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known at `at`: a user's facts and the shared ones up to these numbers."""

    user_id: UUID
    at: dt.datetime
    fact_number: int
    market_number: int
    ledger_version: int


def moment_at(*, user_id: UUID, at: dt.datetime) -> Moment:
    """The last versions that were committed by `at`; all 0 before the first."""
    known = FactVersion.objects.filter(committed_at__lte=at).order_by("-number").values_list("number", flat=True)
    facts, market = known.filter(user=user_id).first() or 0, known.filter(user=None).first() or 0
    versions = LedgerVersion.objects.filter(user=user_id, fact_number__lte=facts, market_number__lte=market)
    # A worker may have included the facts later than they were known, but nobody knew of a later rebuild.
    included = versions.filter(~Q(cause=REBUILD) | Q(created_at__lte=at)).order_by("-number")
    return Moment(user_id, at, facts, market, included.values_list("number", flat=True).first() or 0)


def moment_of_version(*, version: LedgerVersion) -> Moment:
    return Moment(version.user_id, version.created_at, version.fact_number, version.market_number, version.number)


def user_then(moment: Moment) -> User:
    """The user with the settings of that time. Not to be saved."""
    user = User.objects.get(pk=moment.user_id)
    user.fact_number = moment.fact_number
    for key in ("base_currency", "timezone"):
        told = UserSetting.objects.filter(user=moment.user_id, key=key)
        before = told.filter(number__lte=moment.fact_number).order_by("-number").first()
        after = told.filter(number__gt=moment.fact_number).order_by("number").first()
        if before is not None or after is not None:
            setattr(user, key, before.value if before is not None else after.before)  # type: ignore[union-attr]
    return user


@contextmanager
def truth_then(moment: Moment) -> Iterator[User]:
    """Inside, every read of facts, names and ledger answers as of `moment`; all of it is gone afterwards.

    Writes fall on temporary tables. Gives the user with the settings of that time.
    """
    with shadow_transaction():
        user = user_then(moment)
        _shadow_facts(moment, user)
        _shadow_truth(moment)
        resolved, facts, draft = draft_of(moment.user_id)
        write_draft(resolved, facts, draft)
        propose_accounts(moment.user_id, [about.account.id for about in facts.accounts])
        link_transfers(moment.user_id, resolved.decisions)
        LedgerState.objects.create(
            user_id=moment.user_id,
            facts_version=moment.fact_number,
            ledger_version=moment.ledger_version,
            valued_version=moment.ledger_version,
            market_version=moment.market_number,
        )
        yield user


def _shadow_facts(moment: Moment, user: User) -> None:
    owner = sql.Literal(moment.user_id)
    shown = {name: sql.Literal(getattr(user, name)) for name in ("base_currency", "timezone", "fact_number")}
    shadow_view(User, where=sql.SQL("t.id = {}").format(owner), replaced=shown)
    settings = {
        "priority": _setting(SourceSetting, "source_id", "priority", moment, cast="integer"),
        "enabled": _setting(SourceSetting, "source_id", "enabled", moment, cast="boolean"),
    }
    shadow_view(Source, where=sql.SQL("t.user_id = {}").format(owner), replaced=settings)
    for app in ("ingestion", "federation"):
        for model in apps.get_app_config(app).get_models():
            if is_numbered(model) and model is not LedgerVersion:
                shadow_view(model, where=known(model, moment))


def is_numbered(model: type[models.Model]) -> bool:
    """Whether its rows are facts that carry the number they took."""
    return any(field.name == "number" for field in model._meta.fields)


def known(model: type[models.Model], moment: Moment) -> sql.Composable:
    """The condition on t that holds for the facts of `moment`. Facts without a user belong to a parent's."""
    facts, market = sql.Literal(moment.fact_number), sql.Literal(moment.market_number)
    if not any(field.name == "user" for field in model._meta.fields):
        return sql.SQL("t.number <= {}").format(facts)
    return sql.SQL("(t.user_id = {} AND t.number <= {} OR t.user_id IS NULL AND t.number <= {})").format(
        sql.Literal(moment.user_id), facts, market
    )


def _shadow_truth(moment: Moment) -> None:
    owner = sql.Literal(moment.user_id)
    sources = sql.SQL("t.source_id IN (SELECT id FROM {} WHERE user_id = {})").format(real(Source), owner)
    own = sql.SQL("t.user_id = {}").format(owner)
    shared = sql.SQL("(t.user_id = {} OR t.user_id IS NULL)").format(owner)
    of_instrument = sql.SQL("t.instrument_id IN (SELECT t.id FROM {} t WHERE {})").format(real(Instrument), shared)
    shadow_table(Institution, rows=[real(Institution)])
    columns = ("name", "reference", "currency", "kind", "tracking", "cash_mode", "cost_basis_method")
    settings = {name: _setting(AccountSetting, "account_id", name, moment, cast="text") for name in columns}
    settings["allows_short"] = _setting(AccountSetting, "account_id", "allows_short", moment, cast="boolean")
    shadow_table(BrokerAccount, rows=_named(BrokerAccount, moment, where=own), replaced=settings)
    shadow_table(AccountLink, rows=_named(AccountLink, moment, where=sources))
    shadow_table(InstrumentLink, rows=_named(InstrumentLink, moment, where=sources, later=NOT_NAMED_YET))
    shadow_table(Instrument, rows=_named(Instrument, moment, where=shared, later=MEANT))
    shadow_table(Listing, rows=_named(Listing, moment, where=of_instrument))
    shadow_table(InstrumentIdentifier, rows=_named(InstrumentIdentifier, moment, where=of_instrument))
    for model in apps.get_app_config("federation").get_models():
        if model not in NAMES and not is_numbered(model):
            shadow_table(model)


NOT_NAMED_YET = sql.SQL(
    "NOT EXISTS (SELECT 1 FROM pg_temp.{links} l WHERE l.source_id = t.source_id AND l.key = t.key)"
).format(links=sql.Identifier(InstrumentLink._meta.db_table))
MEANT = sql.SQL("EXISTS (SELECT 1 FROM pg_temp.{links} l WHERE t.id IN (l.instrument_id, l.own_id))").format(
    links=sql.Identifier(InstrumentLink._meta.db_table)
)


def _named(
    model: type[models.Model], moment: Moment, *, where: sql.Composable, later: sql.Composable | None = None
) -> list[sql.Composable]:
    """Rows of names as they stood before a later fact changed or removed them, first what changed first; then those
    `where` holds, a condition on t, that were not touched since.

    Rows made later stay where none of that time takes their place, and `later` holds: a fact that was read late finds
    the name that it was given then.
    """
    names = {
        "table": real(model),
        "former": real(FormerName),
        "owner": sql.Literal(moment.user_id),
        "name": sql.Literal(model._meta.db_table),
        "number": sql.Literal(moment.fact_number),
    }
    former = sql.SQL(
        "(SELECT t.* FROM ("
        "SELECT DISTINCT ON (f.row) f.row, f.before, f.until, f.id FROM {former} f WHERE f.user_id = {owner}"
        ' AND f."table" = {name} AND f.until > {number} ORDER BY f.row, f.until, f.id'
        ") o LEFT JOIN {table} n ON n.id::text = o.row CROSS JOIN LATERAL jsonb_populate_record(n, o.before) t"
        " WHERE {made} ORDER BY o.until, o.id)"
    )
    untouched = sql.SQL(
        "(SELECT t.* FROM {table} t WHERE {where} AND {made} AND NOT EXISTS (SELECT 1 FROM {former} f"
        ' WHERE f.user_id = {owner} AND f."table" = {name} AND f.row = t.id::text AND f.until > {number}))'
    )
    if later is None:
        anytime = sql.SQL("TRUE")
        return [former.format(made=anytime, **names), untouched.format(made=anytime, where=where, **names)]
    by_then = sql.SQL("t.made_number <= {number}").format(**names)
    afterwards = sql.SQL("(SELECT t.* FROM {table} t WHERE {where} AND t.made_number > {number} AND {later})")
    return [
        former.format(made=by_then, **names),
        untouched.format(made=by_then, where=where, **names),
        afterwards.format(where=where, later=later, **names),
    ]


def _setting(model: type[models.Model], parent: str, key: str, moment: Moment, *, cast: str) -> sql.Composable:
    """A column whose value is the last fact of that time, else what is stored."""
    return sql.SQL(
        "COALESCE((SELECT (f.value #>> '{{}}')::{cast} FROM {facts} f WHERE f.{parent} = t.id AND f.key = {key}"
        " AND f.number <= {number} ORDER BY f.number DESC, f.id DESC LIMIT 1), t.{column})"
    ).format(
        cast=sql.SQL(cast),
        facts=real(model),
        parent=sql.Identifier(parent),
        key=sql.Literal(key),
        number=sql.Literal(moment.fact_number),
        column=sql.Identifier(key),
    )


def take_market_version(*, user_id: UUID, read: int, market_number: int) -> int | None:
    """A version of the same ledger under newer shared prices and rates; None where the ledger is no longer version
    `read`, or its version includes them already.

    Call inside the transaction that writes the figures; holds the ledger's state until commit.
    """
    state = LedgerState.objects.select_for_update().get(pk=user_id)
    before = LedgerVersion.objects.filter(user=user_id, number=state.ledger_version).first()
    if before is None or before.number != read or before.market_number >= market_number:
        return None
    version = LedgerVersion.objects.create(
        user_id=user_id,
        number=before.number + 1,
        fact_number=state.facts_version,
        market_number=market_number,
        rules_version=before.rules_version,
        content_hash=before.content_hash,
        cause=MARKET,
    )
    state.ledger_version = version.number
    state.save(update_fields=["ledger_version"])
    return version.number
