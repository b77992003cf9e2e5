"""What the demo's investor did: monthly savings, exchanges, purchases and a few sales, at closes of the price table.

Plain values; the same table and rates give the same story. Signs as everywhere: + into the account.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from stackmotive.demo.prices import PriceTable

RateOn = Callable[[str, dt.date], Decimal]
"""US dollars for one unit of a currency on a day, rounded as brokers state it."""

FIRST_YEAR, LAST_DAY = 2016, dt.date(2022, 12, 28)
CENT = Decimal("0.01")
ZERO = Decimal(0)

# --- at the first broker: an account in dollars, fed in euros ------------------------------------------------
SAVED_EUR = {2016: 1500, 2017: 1500, 2018: 1800, 2019: 2000, 2020: 2000, 2021: 2400, 2022: 2400}
KEPT_EUR = 25  # of each deposit, not exchanged
EXCHANGE_FEE, TRADE_FEE, DATA_FEE = Decimal(2), Decimal(1), Decimal("1.50")
RESERVE_USD = Decimal(150)
ROTATION = ("QUAL", "AAPL", "JNJ", "MSFT", "USMV", "XOM", "JPM", "KO", "UNH", "PG", "HD", "GE")
BOUGHT_UNTIL = {"GE": 2017, "KO": 2021}  # last year of purchases
SALES = (  # day, symbol, part of what is held
    (dt.date(2018, 6, 20), "GE", Decimal(1)),
    (dt.date(2020, 3, 18), "XOM", Decimal("0.5")),
    (dt.date(2021, 11, 16), "AAPL", Decimal("0.3")),
    (dt.date(2022, 2, 3), "MSFT", Decimal("0.15")),
)
INTEREST = ((dt.date(2022, 9, 6), "11.42"), (dt.date(2022, 10, 5), "14.03"), (dt.date(2022, 11, 3), "15.87"),
            (dt.date(2022, 12, 5), "17.20"))  # fmt: skip

# --- at the second one: an account in pounds, orders by value ------------------------------------------------
SAVED_GBP = {2019: 300, 2020: 300, 2021: 350, 2022: 400}
BASKET = ("AMD", "WMT", "PEP", "LLY", "MTUM", "AAPL")
CONVERSION = Decimal("0.0015")
SHARES = Decimal("0.0000001")
HISTORY_SALES = ((dt.date(2021, 11, 22), "AMD", Decimal("0.4")), (dt.date(2022, 8, 16), "WMT", Decimal("0.5")))
HISTORY_INTEREST = ((dt.date(2022, 11, 1), "0.86"), (dt.date(2022, 12, 1), "1.12"))


@dataclass(frozen=True, slots=True)
class Trade:
    """price in dollars. cash: what moved in `cash_currency`, net of `fee` in the same. rate: dollars for one."""

    day: dt.date
    symbol: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    cash: Decimal
    cash_currency: str = "USD"
    rate: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Euros sold for dollars at `rate`, with a commission in dollars."""

    day: dt.date
    euros: Decimal
    rate: Decimal
    dollars: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Booking:
    """Cash alone. kind: deposit, interest or fee."""

    day: dt.date
    kind: str
    amount: Decimal
    currency: str


Event = Trade | Exchange | Booking


@dataclass(slots=True)
class Held:
    """Units and cash, event by event; lots first in, first out, with fees in their cost."""

    cash: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    lots: dict[str, list[tuple[Decimal, Decimal]]] = field(default_factory=lambda: defaultdict(list))

    def quantity(self, symbol: str) -> Decimal:
        return sum((units for units, _ in self.lots[symbol]), ZERO)

    def cost(self, symbol: str) -> Decimal:
        return sum((cost for _, cost in self.lots[symbol]), ZERO)

    def symbols(self) -> list[str]:
        return sorted(symbol for symbol in self.lots if self.quantity(symbol))

    def take(self, event: Event) -> None:
        if isinstance(event, Booking):
            self.cash[event.currency] += event.amount
        elif isinstance(event, Exchange):
            self.cash["EUR"] -= event.euros
            self.cash["USD"] += event.dollars - event.fee
        else:
            self.cash[event.cash_currency] += event.cash
            if event.quantity > 0:
                self.lots[event.symbol].append((event.quantity, -event.cash))
            else:
                self._relieve(event.symbol, -event.quantity)

    def _relieve(self, symbol: str, quantity: Decimal) -> None:
        lots = self.lots[symbol]
        while quantity:
            units, cost = lots.pop(0)
            used = min(units, quantity)
            quantity -= used
            if used < units:
                lots.insert(0, (units - used, cost - cost * used / units))


def savings_plan(table: PriceTable, rate_on: RateOn) -> list[Event]:
    """The first broker's account from its first deposit on, in order."""
    held, events = Held(), list[Event]()

    def add(event: Event) -> None:
        events.append(event)
        held.take(event)

    turn = 0
    for first in _months(FIRST_YEAR):
        deposit_day, exchange_day, trade_day = (table.day_from(first.replace(day=day)) for day in (2, 5, 11))
        saved = Decimal(SAVED_EUR[first.year])
        add(Booking(deposit_day, "deposit", saved, "EUR"))
        add(_exchange(exchange_day, saved - KEPT_EUR, rate_on("EUR", exchange_day)))
        symbols = [one for one in ROTATION if BOUGHT_UNTIL.get(one, LAST_DAY.year) >= first.year]
        chosen = [symbols[(turn + place) % len(symbols)] for place in range(2)]
        turn += 2
        budget = (held.cash["USD"] - RESERVE_USD) / 2
        for symbol in chosen:
            add(_purchase(table, trade_day, symbol, budget))
        if first.month % 3 == 0:
            add(Booking(table.day_from(first.replace(day=21)), "fee", -DATA_FEE, "USD"))
        for day, symbol, part in SALES:
            if (day.year, day.month) == (first.year, first.month):
                units = (held.quantity(symbol) * part).quantize(Decimal(1), ROUND_DOWN)
                add(_sale(table, table.day_from(day), symbol, units))
        for day, amount in INTEREST:
            if (day.year, day.month) == (first.year, first.month):
                add(Booking(table.day_from(day), "interest", Decimal(amount), "USD"))
    return [event for event in events if event.day <= LAST_DAY]


def order_history(table: PriceTable, rate_on: RateOn) -> list[Event]:
    """The second broker's account, in order: pounds in, parts of shares priced in dollars."""
    held, events = Held(), list[Event]()

    def add(event: Event) -> None:
        events.append(event)
        held.take(event)

    for number, first in enumerate(_months(min(SAVED_GBP))):
        add(Booking(table.day_from(first.replace(day=3)), "deposit", Decimal(SAVED_GBP[first.year]), "GBP"))
        day = table.day_from(first.replace(day=8))
        for place in range(2):
            symbol = BASKET[(2 * number + place) % len(BASKET)]
            add(
                _order(
                    table, day, symbol, (held.cash["GBP"] / (2 - place)).quantize(CENT, ROUND_DOWN), rate_on("GBP", day)
                )
            )
        for on, symbol, part in HISTORY_SALES:
            if (on.year, on.month) == (first.year, first.month):
                units = (held.quantity(symbol) * part).quantize(SHARES, ROUND_DOWN)
                sold_on = table.day_from(on)
                add(_order_sold(table, sold_on, symbol, units, rate_on("GBP", sold_on)))
        for on, amount in HISTORY_INTEREST:
            if (on.year, on.month) == (first.year, first.month):
                add(Booking(table.day_from(on), "interest", Decimal(amount), "GBP"))
    return [event for event in events if event.day <= LAST_DAY]


def after(events: list[Event], day: dt.date) -> Held:
    """What is held at the close of `day`."""
    held = Held()
    for event in events:
        if event.day <= day:
            held.take(event)
    return held


def _months(year: int) -> Iterator[dt.date]:
    for number in range((LAST_DAY.year - year + 1) * 12):
        yield dt.date(year + number // 12, number % 12 + 1, 1)


def _exchange(day: dt.date, euros: Decimal, rate: Decimal) -> Exchange:
    return Exchange(day, euros, rate, euros * rate, EXCHANGE_FEE)


def _purchase(table: PriceTable, day: dt.date, symbol: str, budget: Decimal) -> Trade:
    """Whole shares for at most `budget` dollars, at least one."""
    price = table.close(symbol, day)
    units = max(Decimal(1), ((budget - TRADE_FEE) / price).quantize(Decimal(1), ROUND_DOWN))
    return Trade(day, symbol, units, price, TRADE_FEE, -units * price - TRADE_FEE)


def _sale(table: PriceTable, day: dt.date, symbol: str, units: Decimal) -> Trade:
    price = table.close(symbol, day)
    return Trade(day, symbol, -units, price, TRADE_FEE, units * price - TRADE_FEE)


def _order(table: PriceTable, day: dt.date, symbol: str, pounds: Decimal, rate: Decimal) -> Trade:
    """Parts of a share for `pounds`, the conversion fee included."""
    price = table.close(symbol, day)
    fee = (pounds * CONVERSION).quantize(CENT, ROUND_HALF_EVEN)
    units = ((pounds - fee) * rate / price).quantize(SHARES, ROUND_HALF_EVEN)
    return Trade(day, symbol, units, price, fee, -pounds, "GBP", rate)


def _order_sold(table: PriceTable, day: dt.date, symbol: str, units: Decimal, rate: Decimal) -> Trade:
    price = table.close(symbol, day)
    proceeds = units * price / rate
    fee = (proceeds * CONVERSION).quantize(CENT, ROUND_HALF_EVEN)
    return Trade(day, symbol, -units, price, fee, (proceeds - fee).quantize(CENT, ROUND_HALF_EVEN), "GBP", rate)
