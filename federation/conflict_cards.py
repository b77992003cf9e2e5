"""What sources disagree about, as the reconciliation page shows it: in words, by effect in money."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q, Sum

from accounts.models import User
from federation import selectors
from federation.authority import DECISION
from federation.decision_lines import DecisionLine, lines_of
from federation.models import Conflict, Decision, Transaction
from federation.reasons import ANOTHER, FIELD_WORDS, reason, row_words, with_article
from ingestion.models import Source, StagedTransaction
from stackmotive.common.display import day_text, money_text, price_text, quantity_text

MOST = {Conflict.Status.OPEN: 100, Conflict.Status.SETTLED: 25, Conflict.Status.RESOLVED: 25}
HEADINGS = {
    Conflict.Status.OPEN: ("Needs your eye", "A rule keeps your figures whole meanwhile. Say what is right."),
    Conflict.Status.SETTLED: (
        "Settled by a rule",
        "Your sources differ here and a rule decided. You can overrule it.",
    ),
    Conflict.Status.RESOLVED: ("Decided by you", "Your word stands before every rule and every later import."),
}
ROW_KINDS = ("only_in_one_source", "ambiguous")
NO_ROW = "no such row"


@dataclass(frozen=True, slots=True)
class Side:
    """What one source says. value is ready to show; is_public: a price, which stays when amounts are hidden."""

    source: str
    source_name: str
    value: str
    is_public: bool
    as_of: date | None
    won: bool
    row: str = ""  # the row that the conflict's own row may be one with


@dataclass(frozen=True, slots=True)
class ConflictCard:
    """One disagreement. effect None = not priced. decision: the id of the decision that can be undone."""

    id: UUID
    what: str
    detail: str
    sides: tuple[Side, ...]
    reason: str
    status: str
    effect: Decimal | None
    can_choose: bool
    can_book: bool
    can_ignore: bool
    can_accept: bool
    remembers: bool
    decision: UUID | None
    transaction: UUID | None
    history: tuple[DecisionLine, ...]  # what the user said of it before, the newest first


@dataclass(frozen=True, slots=True)
class ConflictGroup:
    """The conflicts of one holding in one account. kind and mark: the look of its badge."""

    name: str
    account_name: str
    kind: str
    mark: str
    instrument: UUID | None
    account: UUID | None
    cards: tuple[ConflictCard, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """All conflicts of one status; effect: the sum of what is priced."""

    status: str
    heading: str
    explanation: str
    count: int
    effect: Decimal | None
    groups: tuple[ConflictGroup, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Background:
    """What the rows behind the conflicts are called."""

    sources: Mapping[str, str]
    transactions: Mapping[UUID, Transaction]
    staged: Mapping[tuple[str, str], StagedTransaction]
    decisions: Mapping[str, UUID]
    said: Mapping[str, Sequence[DecisionLine]]


def sections(user: User, *, source: UUID | None = None) -> list[Section]:
    """Open, settled and resolved, each the costliest first. source: only those that it takes part in."""
    told = selectors.conflicts(user)
    if source is not None:
        told = told.filter(candidates__contains=[{"source": str(source)}])
    totals = {
        row["status"]: (row["count"], row["effect"])
        for row in told.order_by().values("status").annotate(count=Count("pk"), effect=Sum("effect_base"))
    }
    found = {status: list(told.filter(status=status)[: MOST[status]]) for status in MOST}
    about = background(user, [one for rows in found.values() for one in rows])
    result = []
    for status, rows in found.items():
        count, effect = totals.get(status, (0, None))
        heading, explanation = HEADINGS[status]
        groups = grouped(rows, about)
        result.append(Section(status, heading, explanation, count, effect, groups, count - len(rows)))
    return result


def background(user: User, rows: Sequence[Conflict]) -> Background:
    booked, told = set(), set()
    for row in rows:
        about, _, rest = row.key.partition(":")
        first, _, second = rest.partition(":")
        if about == "transaction":
            with suppress(ValueError):
                booked.add(UUID(first))
        elif about in ("row", "match"):
            told.add((first, second))
            told |= {(str(one.get("source")), one["row"]) for one in row.candidates if one.get("row")}
        elif about == "transfer":
            booked |= {UUID(one["row"]) for one in row.candidates if one.get("row")}
    staged = StagedTransaction.objects.none()
    if told:
        named = Q(content__source__user=user, identity__in={identity for _, identity in told})
        staged = StagedTransaction.objects.filter(named).select_related("content").order_by("pk")
    return Background(
        sources={str(pk): name for pk, name in Source.objects.visible_to(user).values_list("pk", "name")},
        transactions=Transaction.objects.visible_to(user).in_bulk(booked),
        staged={(str(row.content.source_id), row.identity): row for row in staged},
        decisions={
            subject(decision.keys["key"]): decision.pk
            for decision in reversed(selectors.decisions(user).filter(revocation=None))
            if "key" in decision.keys and decision.kind != Decision.Kind.LINK_ACCOUNT
        },
        said=said_of(user, [row.key for row in rows]),
    )


def subject(key: str) -> str:
    """What a decision by this key settles: all fields of a row at once."""
    return ":".join(key.split(":")[:2]) if key.startswith("transaction:") else key


def said_of(user: User, keys: Sequence[str]) -> dict[str, list[DecisionLine]]:
    """By conflict's key everything that its user ever decided about it, the newest first."""
    found = list(selectors.decisions(user).filter(keys__key__in=keys)) if keys else []
    result: dict[str, list[DecisionLine]] = defaultdict(list)
    for decision, shown in zip(found, lines_of(user, found), strict=True):
        result[decision.keys["key"]].append(shown)
    return result


def grouped(rows: Sequence[Conflict], about: Background) -> tuple[ConflictGroup, ...]:
    """One group per holding and account, in the order of their costliest conflict."""
    members: dict[tuple[UUID | None, UUID | None, str], list[Conflict]] = {}
    for row in rows:
        currency = row.key.rpartition(":")[2] if row.kind == "cash" else ""
        members.setdefault((row.account_id, row.instrument_id, currency), []).append(row)
    return tuple(group(part, currency, about) for (_, _, currency), part in members.items())


def group(rows: Sequence[Conflict], currency: str, about: Background) -> ConflictGroup:
    first = rows[0]
    instrument, account = first.instrument, first.account
    if instrument:
        name, kind, mark = instrument.name or instrument.symbol, instrument.kind, instrument.symbol[:4].upper()
    else:
        name, kind, mark = (f"{currency} cash" if currency else "Cash"), "cash", currency or "—"
    return ConflictGroup(
        name=name,
        account_name=account.name if account else "",
        kind=kind,
        mark=mark,
        instrument=first.instrument_id,
        account=first.account_id,
        cards=tuple(card(row, about) for row in rows),
    )


def card(row: Conflict, about: Background) -> ConflictCard:
    is_open = row.status == Conflict.Status.OPEN
    is_row = row.kind in ROW_KINDS
    told = tuple(side(row, one, about, place) for place, one in enumerate(row.candidates))
    what, detail = described(row, told, about)
    winner = about.sources.get(str(row.winner), "") if row.winner else ""
    loser = next((one.source_name for one in told if not one.won), ANOTHER)
    booked = transaction_of(row, about)
    return ConflictCard(
        id=row.pk,
        what=what,
        detail=detail,
        sides=told,
        reason=reason(row.rule, winner=winner or ("" if row.rule == DECISION else "the first source"), loser=loser),
        status=row.status,
        effect=row.effect_base,
        can_choose=not is_row and row.kind != "mass_withdrawal" and len({one.source for one in told}) > 1,
        can_book=is_open and row.kind in ROW_KINDS and not row.key.startswith("transfer:"),
        can_ignore=is_open,
        can_accept=is_open and row.kind == "mass_withdrawal",
        remembers=row.kind in ("quantity", "cash"),
        decision=about.decisions.get(subject(row.key)) if row.status == Conflict.Status.RESOLVED else None,
        transaction=booked.pk if booked else None,
        history=tuple(one for one in about.said.get(row.key, ()) if one.revoked_at),
    )


def side(row: Conflict, told: Mapping[str, str], about: Background, place: int) -> Side:
    """place: 0 is the row that a question is about, the others are those it may be one with."""
    source = str(told.get("source", ""))
    value, is_public = shown_value(row, told, about)
    try:
        as_of = date.fromisoformat(told.get("as_of", ""))
    except ValueError:
        as_of = None
    name = about.sources.get(source, "A source")
    if row.kind == "mass_withdrawal":
        return Side(source, ("As it is", "With the new statement")[place > 0], f"{value} rows", True, as_of, place == 0)
    partner = told.get("row", "") if row.kind == "ambiguous" and place else ""
    won = row.winner is not None and source == str(row.winner)
    return Side(source, name, value, is_public, as_of, won, partner)


def shown_value(row: Conflict, told: Mapping[str, str], about: Background) -> tuple[str, bool]:
    """(what a source says, whether it is no secret)."""
    stated = told.get("value", "")
    if not stated:
        return NO_ROW, True
    value = Decimal(stated)
    about_row = row.key.split(":")
    if row.kind == "cash":
        return money_text(value, about_row[2]), False
    booked = transaction_of(row, about)
    if row.kind == "field" and booked is not None:
        if about_row[2] == "price":
            return price_text(value, booked.currency), True
        return money_text(value, booked.cash_currency or booked.currency), False
    stated_row = staged_of(row, told, about) or booked
    if row.kind in ROW_KINDS and stated_row is not None and stated_row.quantity is None:
        return money_text(value, stated_row.cash_currency or stated_row.currency, signed=True), False
    return quantity_text(value), False


def transaction_of(row: Conflict, about: Background) -> Transaction | None:
    first = row.key.split(":")[1] if row.key.startswith(("transaction:", "transfer:")) else ""
    with suppress(ValueError):
        return about.transactions.get(UUID(first))
    return None


def staged_of(row: Conflict, told: Mapping[str, str], about: Background) -> StagedTransaction | None:
    """The row of a source that the conflict is about."""
    parts = row.key.split(":", 2)
    if parts[0] not in ("row", "match"):
        return None
    return about.staged.get((str(told.get("source", "")), told.get("row", ""))) or about.staged.get(
        (parts[1], parts[2])
    )


def described(row: Conflict, told: Sequence[Side], about: Background) -> tuple[str, str]:
    """(what differs, what that means)."""
    booked = transaction_of(row, about)
    names = " and ".join(dict.fromkeys(one.source_name for one in told))
    match row.kind:
        case "quantity":
            return "How many are held", f"{names} report different quantities."
        case "cash":
            return "How much cash there is", f"{names} report different balances."
        case "field" if booked is not None:
            field = row.key.split(":")[2]
            words = row_words(booked.kind, booked.trade_date)
            return f"{FIELD_WORDS.get(field, field.replace('_', ' ').capitalize())} of the {words}", (
                f"{names} have the same {words.partition(' on ')[0]} with different figures."
            )
    staged = staged_of(row, row.candidates[0] if row.candidates else {}, about)
    if staged is not None:
        words = with_article(row_words(staged.kind, staged.trade_date))
        if row.kind == "only_in_one_source":
            return f"{words[0].upper()}{words[1:]} that only {told[0].source_name} has", in_full(staged)
        if row.kind == "ambiguous":
            return f"{words[0].upper()}{words[1:]} that fits several rows", in_full(staged)
    if row.kind == "mass_withdrawal":
        return "A statement that would take much away", "It waits until you say whether it counts."
    if row.key.startswith("transfer:") and booked is not None:
        words = with_article(row_words(booked.kind, booked.trade_date))
        return f"{words[0].upper()}{words[1:]} with several partners", "Which of your own rows is its other side?"
    return row.kind.replace("_", " ").capitalize(), f"{names} differ." if names else ""


def in_full(row: StagedTransaction) -> str:
    """Where a row stands in its file. Its amounts are in the values beside."""
    price = f" at {price_text(row.price, row.currency)}" if row.price is not None else ""
    return f"Line {row.line} of its file{price}, {day_text(row.trade_date)}."
