"""A user's instruments as their tab shows them: which need a look, what each source calls them, what they were called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from federation import selectors
from federation.models import Instrument, InstrumentKind
from ingestion.models import StagedInstrument

MOST = 100
KIND_WORDS = {
    InstrumentKind.EQUITY: "Share",
    InstrumentKind.ETF: "ETF",
    InstrumentKind.FUND: "Fund",
    InstrumentKind.BOND: "Bond",
    InstrumentKind.CRYPTO: "Coin",
    InstrumentKind.COMMODITY: "Commodity",
    InstrumentKind.OPTION: "Option",
    InstrumentKind.FUTURE: "Future",
    InstrumentKind.PROPERTY: "Property",
    InstrumentKind.OTHER: "Other",
}
ATTRIBUTE_WORDS = {"symbol": "Symbol", "name": "Name", "kind": "Kind", "sector": "Sector", "country": "Country"}
TOLD = ("name", "isin", "exchange", "currency")


@dataclass(frozen=True, slots=True)
class Naming:
    """What one source calls an instrument. value: what a form sends for it."""

    value: str
    source_name: str
    symbol: str
    detail: str
    valid_from: date | None


@dataclass(frozen=True, slots=True)
class FormerName:
    label: str
    value: str
    valid_from: date | None
    said_at: datetime


@dataclass(frozen=True, slots=True)
class InstrumentCard:
    id: UUID
    symbol: str
    name: str
    kind: str
    kind_words: str
    mark: str
    sector: str
    country: str
    needs_review: bool
    namings: tuple[Naming, ...]
    history: tuple[FormerName, ...]


@dataclass(frozen=True, slots=True)
class InstrumentBoard:
    """cards: those that need a look first. left_out: those that the search would have to narrow down."""

    cards: tuple[InstrumentCard, ...]
    others: tuple[tuple[str, str], ...]  # (id, label) of everything that one may be one with
    kinds: tuple[tuple[str, str], ...]
    review_count: int
    left_out: int
    search: str


def instrument_board(user: User, *, search: str = "") -> InstrumentBoard:
    everything = selectors.own_instruments(user)
    rows = everything.prefetch_related(None).prefetch_related("links__source", "attribute_facts", "identifiers")
    asked = search.strip()[:60]
    if asked:
        named = Q(symbol__icontains=asked) | Q(name__icontains=asked) | Q(identifiers__value__iexact=asked)
        rows = rows.filter(pk__in=everything.order_by().filter(named).values("pk"))
    count = rows.count()
    found = list(rows.order_by("-needs_review", "symbol", "pk")[:MOST])
    told = what_was_told(user, found)
    labels = everything.order_by("symbol", "pk").values_list("pk", "symbol", "name")
    return InstrumentBoard(
        cards=tuple(card(one, told) for one in found),
        others=tuple(
            (str(pk), f"{symbol} · {name}" if name and name != symbol else symbol) for pk, symbol, name in labels
        ),
        kinds=tuple((str(kind), words) for kind, words in KIND_WORDS.items()),
        review_count=everything.filter(needs_review=True).count(),
        left_out=count - len(found),
        search=asked,
    )


def what_was_told(user: User, instruments: Sequence[Instrument]) -> dict[tuple[UUID, str], StagedInstrument]:
    """By (source, key) what the source said of it, as it said it last."""
    keys = {link.key for one in instruments for link in one.links.all()}
    staged = StagedInstrument.objects.filter(content__source__user=user, key__in=keys).select_related("content")
    return {(row.content.source_id, row.key): row for row in staged.order_by("pk")}


def card(one: Instrument, told: Mapping[tuple[UUID, str], StagedInstrument]) -> InstrumentCard:
    namings = []
    for link in sorted(one.links.all(), key=lambda link: (link.source.name, link.pk)):
        said = told.get((link.source_id, link.key))
        parts = [getattr(said, name) for name in TOLD] if said else []
        namings.append(
            Naming(
                value=f"{link.source_id}:{link.key}",
                source_name=link.source.name,
                symbol=(said.symbol or said.name or said.isin) if said else one.symbol,
                detail=" · ".join(part for part in parts if part),
                valid_from=link.valid_from,
            )
        )
    return InstrumentCard(
        id=one.pk,
        symbol=one.symbol,
        name=one.name,
        kind=one.kind,
        kind_words=KIND_WORDS[InstrumentKind(one.kind)],
        mark=one.symbol[:4].upper(),
        sector=one.sector,
        country=one.country,
        needs_review=one.needs_review,
        namings=tuple(namings),
        history=tuple(
            FormerName(ATTRIBUTE_WORDS.get(fact.key, fact.key), fact.value, fact.valid_from, fact.created_at)
            for fact in sorted(one.attribute_facts.all(), key=lambda fact: fact.pk, reverse=True)
        ),
    )
