"""The demo's story as files in the brokers' own formats, byte for byte the same every time."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from xml.sax.saxutils import quoteattr

from stackmotive.common.money import plain
from stackmotive.demo.catalog import CONIDS, KNOWN
from stackmotive.demo.prices import PriceTable
from stackmotive.demo.story import FIRST_YEAR, LAST_DAY, Booking, Event, Exchange, Held, RateOn, Trade, after

ACCOUNT = "U7000042"
UNEXPLAINED = ("KO", Decimal(3))  # units that the broker's last report has and no booking explains
KEPT_YEAR = 2020
MISTYPED = Decimal("1.003")  # of one price in the investor's own list
CASH_TYPES = {
    "deposit": "Deposits/Withdrawals",
    "interest": "Broker Interest Received",
    "fee": "Other Fees",
}


# --- Interactive Brokers Flex --------------------------------------------------------------------------------


def flex_statements(events: list[Event], table: PriceTable, rate_on: RateOn) -> bytes:
    """One statement a year with its trades, bookings, positions and cash, as a yearly activity query gives them."""
    years = range(FIRST_YEAR, LAST_DAY.year + 1)
    lines = [
        '<FlexQueryResponse queryName="StackMotive" type="AF">',
        f'<FlexStatements count="{len(years)}">',
        *(line for year in years for line in _statement(year, events, table, rate_on)),
        "</FlexStatements>",
        "</FlexQueryResponse>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _statement(year: int, events: list[Event], table: PriceTable, rate_on: RateOn) -> Iterator[str]:
    start, end = dt.date(year, 1, 1), min(dt.date(year, 12, 31), LAST_DAY)
    before, held = after(events, start - dt.timedelta(days=1)), after(events, end)
    numbered = [(number, event) for number, event in enumerate(events, start=1) if start <= event.day <= end]
    made = end + dt.timedelta(days=1)
    yield _element(
        "FlexStatement",
        is_open=True,
        accountId=ACCOUNT,
        fromDate=_day(start),
        toDate=_day(end),
        period="",
        whenGenerated=f"{_day(made)};060000",
    )
    yield _element("AccountInformation", accountId=ACCOUNT, currency="USD")
    yield "<Trades>"
    for number, event in numbered:
        if isinstance(event, Trade):
            yield _trade(number, event)
        elif isinstance(event, Exchange):
            yield _exchange(number, event)
    yield "</Trades>"
    yield "<CashTransactions>"
    for number, event in numbered:
        if isinstance(event, Booking):
            yield _booking(number, event)
    yield "</CashTransactions>"
    yield "<OpenPositions>"
    yield from _positions(held, end, table)
    yield "</OpenPositions>"
    yield "<CashReport>"
    for currency in ("EUR", "USD"):
        yield _element(
            "CashReportCurrency",
            accountId=ACCOUNT,
            currency=currency,
            fromDate=_day(start),
            toDate=_day(end),
            startingCash=plain(before.cash[currency]),
            endingCash=plain(held.cash[currency]),
            levelOfDetail="Currency",
        )
    yield "</CashReport>"
    yield "<ConversionRates>"
    yield _element(
        "ConversionRate", reportDate=_day(end), fromCurrency="EUR", toCurrency="USD", rate=plain(rate_on("EUR", end))
    )
    yield "</ConversionRates>"
    yield "</FlexStatement>"


def _trade(number: int, trade: Trade) -> str:
    known = KNOWN[trade.symbol]
    gross = -trade.quantity * trade.price
    return _element(
        "Trade",
        accountId=ACCOUNT,
        currency="USD",
        assetCategory="STK",
        symbol=known.symbol,
        description=known.name,
        conid=CONIDS[known.symbol],
        isin=known.isin,
        listingExchange=known.exchange,
        multiplier="1",
        tradeID=str(4_100_000 + number),
        tradeDate=_day(trade.day),
        dateTime=f"{_day(trade.day)};155{number % 10}00",
        transactionType="ExchTrade",
        quantity=plain(trade.quantity),
        tradePrice=plain(trade.price),
        proceeds=plain(gross),
        taxes="0",
        ibCommission=plain(-trade.fee),
        ibCommissionCurrency="USD",
        netCash=plain(trade.cash),
        buySell="BUY" if trade.quantity > 0 else "SELL",
        transactionID=str(81_000_000 + number),
        levelOfDetail="EXECUTION",
    )


def _exchange(number: int, exchange: Exchange) -> str:
    return _element(
        "Trade",
        accountId=ACCOUNT,
        currency="USD",
        assetCategory="CASH",
        symbol="EUR.USD",
        description="EUR.USD",
        tradeID=str(4_100_000 + number),
        tradeDate=_day(exchange.day),
        dateTime=f"{_day(exchange.day)};101500",
        transactionType="ExchTrade",
        quantity=plain(-exchange.euros),
        tradePrice=plain(exchange.rate),
        proceeds=plain(exchange.dollars),
        taxes="0",
        ibCommission=plain(-exchange.fee),
        ibCommissionCurrency="USD",
        netCash="0",
        buySell="SELL",
        transactionID=str(81_000_000 + number),
        levelOfDetail="EXECUTION",
    )


def _booking(number: int, booking: Booking) -> str:
    words = {"deposit": "CASH RECEIPTS", "interest": "CREDIT INTEREST", "fee": "MARKET DATA"}
    return _element(
        "CashTransaction",
        accountId=ACCOUNT,
        currency=booking.currency,
        description=words[booking.kind],
        dateTime=_day(booking.day),
        settleDate=_day(booking.day),
        reportDate=_day(booking.day),
        amount=plain(booking.amount),
        type=CASH_TYPES[booking.kind],
        transactionID=str(81_000_000 + number),
        levelOfDetail="DETAIL",
    )


def _positions(held: Held, end: dt.date, table: PriceTable) -> Iterator[str]:
    for symbol in held.symbols():
        known, quantity, cost, mark = (
            KNOWN[symbol],
            held.quantity(symbol),
            held.cost(symbol),
            table.last_close(symbol, end),
        )
        if symbol == UNEXPLAINED[0] and end == LAST_DAY:
            quantity, cost = quantity + UNEXPLAINED[1], cost + UNEXPLAINED[1] * mark
        yield _element(
            "OpenPosition",
            accountId=ACCOUNT,
            currency="USD",
            assetCategory="STK",
            symbol=symbol,
            description=known.name,
            conid=CONIDS[known.symbol],
            isin=known.isin,
            listingExchange=known.exchange,
            multiplier="1",
            reportDate=_day(end),
            position=plain(quantity),
            markPrice=plain(mark),
            costBasisMoney=plain(round(cost, 6)),
            side="Long",
            levelOfDetail="SUMMARY",
        )


def _element(tag: str, *, is_open: bool = False, **attributes: str) -> str:
    cells = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    return f"<{tag} {cells}>" if is_open else f"<{tag} {cells} />"


def _day(day: dt.date) -> str:
    return day.strftime("%Y%m%d")


# --- Trading 212 ---------------------------------------------------------------------------------------------

HISTORY_COLUMNS = (
    "Action",
    "Time",
    "ISIN",
    "Ticker",
    "Name",
    "Notes",
    "ID",
    "No. of shares",
    "Price / share",
    "Currency (Price / share)",
    "Exchange rate",
    "Total",
    "Currency (Total)",
    "Currency conversion fee",
    "Currency (Currency conversion fee)",
)


def history(events: list[Event], *, start: dt.date, end: dt.date) -> bytes:
    """An export of the days from start to end. An order keeps its ID in every export that holds it."""
    rows = []
    for number, event in enumerate(events, start=1):
        if start <= event.day <= end:
            row = _history_row(event)
            row |= {"Time": f"{event.day} 14:3{number % 10}:0{number % 7}.000", "ID": f"EOF{70_000_000 + number}"}
            rows.append(row)
    return _csv(HISTORY_COLUMNS, rows)


def _history_row(event: Event) -> dict[str, str]:
    if isinstance(event, Booking):
        action = {"deposit": "Deposit", "interest": "Interest on cash"}[event.kind]
        return {"Action": action, "Total": plain(event.amount), "Currency (Total)": event.currency}
    assert isinstance(event, Trade)  # noqa: S101  # no exchanges at this broker
    known = KNOWN[event.symbol]
    return {
        "Action": "Market buy" if event.quantity > 0 else "Market sell",
        "ISIN": known.isin,
        "Ticker": known.symbol,
        "Name": known.name,
        "No. of shares": plain(abs(event.quantity)),
        "Price / share": plain(event.price),
        "Currency (Price / share)": "USD",
        "Exchange rate": plain(event.rate),
        "Total": plain(abs(event.cash)),
        "Currency (Total)": event.cash_currency,
        "Currency conversion fee": plain(event.fee),
        "Currency (Currency conversion fee)": event.cash_currency,
    }


# --- the investor's own list ---------------------------------------------------------------------------------

KEPT_COLUMNS = ("trade_date", "kind", "symbol", "isin", "quantity", "price", "fee", "cash_amount", "currency", "note")


def kept_list(events: list[Event]) -> bytes:
    """The trades of one year as the investor typed them: one price is a little off, one quantity is no number."""
    trades = [event for event in events if isinstance(event, Trade) and event.day.year == KEPT_YEAR]
    rows = []
    for number, trade in enumerate(trades):
        price = trade.price if number else (trade.price * MISTYPED).quantize(Decimal("0.01"))
        row = {
            "trade_date": trade.day.isoformat(),
            "kind": "buy" if trade.quantity > 0 else "sell",
            "symbol": trade.symbol,
            "isin": KNOWN[trade.symbol].isin,
            "quantity": plain(abs(trade.quantity)),
            "price": plain(price),
            "fee": plain(trade.fee),
            "cash_amount": plain(abs(trade.cash)),
            "currency": "USD",
        }
        rows.append(row)
    rows.append(rows[-1] | {"quantity": "a dozen", "note": "look this up"})
    return _csv(KEPT_COLUMNS, rows)


def _csv(columns: Sequence[str], rows: Iterable[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(out, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
