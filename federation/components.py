"""Which ways of naming an instrument mean the same one: the connected components of namings (DESIGN 5.5)."""

from collections.abc import Hashable, Iterable, Sequence

from federation.naming_rules import Forest, root_of
from federation.namings import STRONG, InstrumentRuling, Named, Naming


def components(
    names: Sequence[Named], rulings: Sequence[InstrumentRuling] = ()
) -> tuple[list[list[Named]], set[Naming]]:
    """(components in the order first recorded, namings whose ticker alone fits several instruments).

    rulings: in the order they were made; they come before every rule, and a later one before an earlier one.
    """
    ordered = sorted(names, key=lambda one: (one.first, one.source, one.key))
    found: list[tuple[int, list[Named]]] = []
    unclear: set[Naming] = set()
    ruled = {naming for ruling in rulings for naming in ruling.namings}
    for numbers in _buckets(ordered, rulings):
        bucket = [ordered[number] for number in numbers]
        if len(bucket) == 1 or (_is_plain(bucket) and not (ruled and any(one.naming in ruled for one in bucket))):
            found.append((numbers[0], bucket))
            continue
        together, of_several = Forest(bucket).joined(rulings)
        unclear |= of_several
        found += [(numbers[places[0]], members) for places, members in together]
    found.sort(key=lambda one: one[0])
    return [members for _, members in found], unclear


def _buckets(names: Sequence[Named], rulings: Sequence[InstrumentRuling]) -> Iterable[list[int]]:
    """Numbers of namings that share a value or a ticker, directly or over others: no rule reaches farther."""
    root = list(range(len(names)))
    seen: dict[Hashable, int] = {}
    remember = seen.setdefault
    for number, one in enumerate(names):
        mine = number
        for value in (one.isin, one.conid, one.figi, one.cusip, one.symbol.upper()):
            if not value:
                continue
            other = remember(value, number)  # an ISIN that is somebody's ticker makes a bucket larger, not wrong
            if other == number:
                continue
            while root[other] != other:
                root[other] = other = root[root[other]]
            if other < mine:
                root[mine] = mine = other
            elif mine < other:
                root[other] = mine
    places = {one.naming: number for number, one in enumerate(names)} if rulings else {}
    for ruling in rulings:
        numbers = [root_of(root, places[naming]) for naming in ruling.namings if naming in places]
        for number in numbers:
            low, high = sorted((root_of(root, numbers[0]), root_of(root, number)))
            root[high] = low
    buckets: dict[int, list[int]] = {}
    for number in range(len(names)):
        top = number
        while root[top] != top:
            root[top] = top = root[root[top]]
        if top in buckets:
            buckets[top].append(number)
        else:
            buckets[top] = [number]
    return buckets.values()


def _is_plain(bucket: Sequence[Named]) -> bool:
    """Whether nothing in a bucket contradicts or is open, so that every rule would join all of it."""
    first = bucket[0]
    kind, symbol = first.family, first.symbol.upper()
    exchange = currency = isin = figi = conid = cusip = ""
    is_crossed, has_loose_exchange = False, False
    strong: list[Named] = []
    for one in bucket:
        if one.family != kind or one.symbol.upper() != symbol:
            return False
        if one.exchange:
            if exchange and one.exchange.upper() != exchange:
                return False
            exchange = one.exchange.upper()
        if one.currency:
            if currency and one.currency != currency:
                return False
            currency = one.currency
        if not (one.isin or one.figi or one.conid or one.cusip):
            has_loose_exchange = has_loose_exchange or bool(one.exchange)
            continue
        strong.append(one)
        is_crossed = is_crossed or bool(one.exchange)
        for had, value in ((isin, one.isin), (figi, one.figi), (conid, one.conid), (cusip, one.cusip)):
            if had and value and had != value:
                return False
        isin, figi, conid, cusip = one.isin or isin, one.figi or figi, one.conid or conid, one.cusip or cusip
    if not symbol and len(strong) < len(bucket):
        return False
    if strong and has_loose_exchange and not is_crossed:
        return False
    return len(strong) < 2 or any(all(getattr(one, scheme) for one in strong) for scheme in STRONG)
