"""Trading 212 history CSV. Columns come and go between exports, so every one is looked up by name;
quantities and totals are unsigned.

Total is the cash that moved, in the account's currency, after all fees and taxes. Fees stand in several
columns, each with
its own currency; transaction taxes and levies are part of what a trade cost and are added to its fee.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from ingestion.adapters.base import Head, InstrumentRef, ParseOptions, Progress, Statement, TransactionRow
from ingestion.adapters.csv_reading import normalized, read_table
from ingestion.adapters.dates import DateProblem, parse_iso_time
from ingestion.adapters.numbers import NumberProblem, parse_exact, recorded
from ingestion.adapters.rows import (
    NAME_CHARACTERS,
    NOTE_CHARACTERS,
    RowProblem,
    aligned,
    bounded,
    isin_or_nothing,
    time_order,
    transactions_coverage,
)
from stackmotive.common.currencies import ISO_4217, minor_unit, quote_unit

PROGRESS_ROWS = 1000
ONE = Decimal(1)

# Action -> kind; dividends and orders are told by their words.
ACTIONS: Mapping[str, str] = {
    "deposit": "deposit", "withdrawal": "withdrawal", "card debit": "withdrawal", "card credit": "deposit",
    "spending cashback": "deposit", "new card cost": "fee", "adr fee": "fee", "custody fee": "fee",
    "result adjustment": "fee",
    "interest on cash": "interest", "lending interest": "interest", "share lending interest": "interest",
    "dividend adjustment": "dividend", "currency conversion": "fx", "stock split open": "split",
    "stock split close": "split",
    "stock distribution": "spinoff", "custom stock distribution": "spinoff", "spin off": "spinoff",
    "spin-off": "spinoff",
    "equity rights": "rights", "transfer in": "transfer_in", "transfer out": "transfer_out",
    "free shares promotion": "reward",
    "free share": "reward",
}  # fmt: skip
_ORDER = re.compile(r"(?:market|limit|stop|stop limit|stop loss|trailing stop) (buy|sell)")
_WITH_CURRENCY = re.compile(r"(.+?) \(([a-z]{3})\)")
_OF_COLUMN = re.compile(r"currency \((.+)\)")
_COST = re.compile(r".*\b(fee|tax|duty|levy)\b.*")


@dataclass(frozen=True, slots=True)
class Amount:
    """Where an amount stands: its column and where its currency does, in a column of its own or in the
    column's name.
    """

    column: int
    title: str  # the column as the file names it
    currency_column: int = -1
    currency: str = ""


class Trading212:
    layout = "trading212"
    version = 1
    source_kind = "csv"
    label = "Trading 212 history"
    default_on_error: Literal["refuse", "skip"] = "skip"

    def is_header(self, row: Sequence[str]) -> bool:
        names = {normalized(cell) for cell in row}
        has_total = any(name == "total" or name.startswith("total (") for name in names)
        return (
            "action" in names
            and bool(names & {"time", "time (utc)"})
            and has_total
            and bool(names & {"id", "isin", "ticker"})
        )

    def score(self, head: Head) -> float:
        return 1.0 if any(self.is_header(row) for row in head.rows) else 0.0

    def parse(self, content: bytes, options: ParseOptions, progress: Progress) -> Statement:
        table = read_table(content, limits=options.limits, is_header=self.is_header, encoding=options.encoding)
        statement = Statement(layout=self.layout, institution="Trading 212", cash_mode="tracked")
        reader = HistoryRows(table.header)
        width, total = len(table.header), len(table.rows)
        for number, (line, cells) in enumerate(zip(table.lines, table.rows, strict=True)):
            if number % PROGRESS_ROWS == 0:
                progress(number, total)
            try:
                statement.transactions.extend(reader.rows(line, aligned(cells, width)))
            except RowProblem as exc:
                statement.problems.append(exc.at(line, table.delimiter.join(cells[:width])))
        for line, problem in reader.open_splits():
            statement.problems.append(problem.at(line, ""))
        progress(total, total)
        cash = Counter(row.cash_currency or row.currency for row in statement.transactions)
        if cash:
            statement.base_currencies = {"": cash.most_common(1)[0][0]}
        statement.time_order = time_order(statement.transactions)
        statement.coverage = transactions_coverage(statement.transactions, is_broken=bool(statement.problems))
        return statement


class HistoryRows:
    """Reads the rows of one export. `header` as it stands in the file."""

    def __init__(self, header: Sequence[str]) -> None:
        names = [normalized(cell) for cell in header]
        self._at = {name: index for index, name in reversed(list(enumerate(names)))}
        self._amounts = self._amount_columns(header, names)
        self._costs = [
            name
            for name in self._amounts
            if _COST.fullmatch(name) and name != "withholding tax" and "currency (" not in name
        ]
        self._splits: dict[tuple[str, str], tuple[int, str, Decimal, TransactionRow]] = {}
        self._instruments: dict[tuple[str, ...], InstrumentRef] = {}

    def rows(self, line: int, cells: Sequence[str]) -> list[TransactionRow]:
        """One row, two for an exchange, none for the first half of a split. Raises RowProblem."""
        action = " ".join(self._text(cells, "action").split())
        kind = self._kind(action)
        day, instant, clock = self._when(cells)
        external_id = bounded(self._text(cells, "id"), "external_id")
        if kind == "fx":
            return self._exchange(line, cells, day, instant, clock, external_id)
        total, currency = self._amount(cells, "total")
        quantity = self._number(cells, "no. of shares")
        instrument, price, price_currency = self._traded(cells)
        note = action if kind not in ("buy", "sell", "deposit", "withdrawal") else self._text(cells, "notes")
        row = TransactionRow(
            line=line,
            account="",
            kind=kind,
            trade_date=day,
            currency=currency or price_currency,
            instrument=instrument if kind not in ("deposit", "withdrawal") else None,
            traded_at=instant,
            local_time=clock,
            external_id=external_id,
            note=note[:NOTE_CHARACTERS],
        )
        if kind in ("buy", "sell"):
            return [self._order(row, cells, quantity, price, price_currency, total, currency)]
        if kind == "split":
            return self._split(row, action, quantity)
        if kind in ("spinoff", "reward", "rights") or (
            kind.startswith("transfer") and instrument is not None and quantity
        ):
            if instrument is None or not quantity:
                raise RowProblem("missing", f"“{action}” needs a ticker and a number of shares.", "No. of shares")
            sign = -1 if kind == "transfer_out" else 1
            return [replace(row, currency=price_currency or currency, quantity=abs(quantity) * sign)]
        if total is None or not currency:
            raise RowProblem("missing", "Total or its currency is empty. Include both in the export.", "Total")
        return [self._cash(row, cells, kind, action, total, currency)]

    def open_splits(self) -> list[tuple[int, RowProblem]]:
        """Halves of splits whose other half is not in the file."""
        return [
            (
                line,
                RowProblem("incomplete_split", f"The other row of this split is missing ({action}).", "Action"),
            )
            for line, action, _, _ in self._splits.values()
        ]

    def _amount_columns(self, header: Sequence[str], names: Sequence[str]) -> dict[str, Amount]:
        amounts: dict[str, Amount] = {}
        of_column = {match[1]: index for index, name in enumerate(names) if (match := _OF_COLUMN.fullmatch(name))}
        for index, name in enumerate(names):
            fixed = _WITH_CURRENCY.fullmatch(name)
            if fixed and quote_unit(fixed[2].upper())[0] in ISO_4217 and fixed[1] != "currency":
                amounts.setdefault(fixed[1], Amount(index, header[index], currency=fixed[2].upper()))
            elif name and not _OF_COLUMN.fullmatch(name):
                amounts.setdefault(name, Amount(index, header[index], of_column.get(name, -1)))
        return amounts

    def _text(self, cells: Sequence[str], name: str) -> str:
        index = self._at.get(name)
        return "" if index is None else cells[index].strip()

    def _number(self, cells: Sequence[str], name: str, *, is_price: bool = False) -> Decimal | None:
        amount = self._amounts.get(name)
        if amount is None:
            return None
        try:
            return parse_exact(cells[amount.column], is_price=is_price)
        except NumberProblem as exc:
            raise RowProblem(exc.code, f"{amount.title}: {exc.detail}", amount.title) from exc

    def _amount(self, cells: Sequence[str], name: str, *, is_price: bool = False) -> tuple[Decimal | None, str]:
        """(amount, currency), pence already in pounds; (None, "") where the export has no such column or
        the cell is empty.
        """
        value = self._number(cells, name, is_price=is_price)
        if value is None:
            return None, ""
        where = self._amounts[name]
        title = where.title
        code = where.currency or (cells[where.currency_column].strip() if where.currency_column >= 0 else "")
        if not code:
            if not value:
                return None, ""
            raise RowProblem("missing", f"The currency of {title} is empty. Include its column in the export.", title)
        currency, unit = quote_unit(code)
        if currency not in ISO_4217:
            raise RowProblem("currency", f"{title}: “{code[:20]}” is no ISO 4217 currency.", title)
        return (value if unit == 1 else self._stored(value * unit, title)), currency

    def _kind(self, action: str) -> str:
        word = action.casefold()
        order = _ORDER.fullmatch(word)
        if order is not None:
            return order[1]
        if word.startswith("dividend (return of capital"):
            return "return_of_capital"
        if word == "dividend" or word.startswith("dividend ("):
            return "dividend"
        kind = ACTIONS.get(word)
        if kind is None:
            raise RowProblem("unknown_kind", f"The action “{action[:60]}” is not known.", "Action")
        return kind

    def _when(self, cells: Sequence[str]) -> tuple[date, datetime | None, str]:
        """The export is in UTC and does not say so in each cell."""
        text = self._text(cells, "time") or self._text(cells, "time (utc)")
        try:
            day, instant, clock = parse_iso_time(text)
            if instant is None and clock:
                day, instant, clock = parse_iso_time(f"{text}Z")
        except DateProblem as exc:
            raise RowProblem("bad_date", f"Time: {exc}", "Time") from exc
        return day, instant, clock

    def _traded(self, cells: Sequence[str]) -> tuple[InstrumentRef | None, Decimal | None, str]:
        """(instrument, price, its currency), None where the row is about no instrument."""
        ticker, isin = self._text(cells, "ticker"), isin_or_nothing(self._text(cells, "isin"))
        price, currency = self._amount(cells, "price / share", is_price=True)
        if not ticker and not isin:
            return None, price, currency
        name = self._text(cells, "name")[:NAME_CHARACTERS]
        key = (ticker, isin, name, currency)
        known = self._instruments.get(key)
        if known is None:
            known = self._instruments[key] = InstrumentRef(
                symbol=bounded(ticker, "symbol"), name=name, isin=isin, currency=currency
            )
        return known, price, currency

    def _order(
        self,
        row: TransactionRow,
        cells: Sequence[str],
        quantity: Decimal | None,
        price: Decimal | None,
        price_currency: str,
        total: Decimal | None,
        currency: str,
    ) -> TransactionRow:
        if row.instrument is None or not quantity:
            raise RowProblem("missing", "An order needs a ticker and a number of shares.", "No. of shares")
        if total is None:
            raise RowProblem("missing", "Total is empty. Include it in the export.", "Total")
        side = 1 if row.kind == "buy" else -1
        price_currency = price_currency or currency
        per_cash = ONE  # units of the price's currency for one of the cash's
        fx_rate: Decimal | None = None
        if price_currency != currency:
            recorded_rate = self._number(cells, "exchange rate")
            unit = quote_unit(self._price_code(cells))[1]
            rate = _rate_that_explains(recorded_rate, unit, abs(quantity) * (price or Decimal(0)), abs(total))
            if rate is not None:
                per_cash = rate
                fx_rate = self._stored(ONE / rate, "Exchange rate", is_price=True)
        fee = self._fee(
            cells,
            currency,
            price_currency,
            per_cash if fx_rate is not None or price_currency == currency else None,
        )
        return replace(
            row,
            currency=price_currency,
            quantity=abs(quantity) * side,
            price=price,
            fee=fee,
            fee_currency=currency if fee is not None and currency != price_currency else "",
            cash_amount=abs(total) * -side,
            cash_currency=currency if currency != price_currency else "",
            fx_rate=fx_rate,
        )

    def _price_code(self, cells: Sequence[str]) -> str:
        where = self._amounts.get("price / share")
        return "" if where is None else where.currency or cells[where.currency_column].strip()

    def _fee(
        self, cells: Sequence[str], currency: str, price_currency: str, per_cash: Decimal | None
    ) -> Decimal | None:
        """All costs of an order in the currency of its cash; converted ones make the sum a multiple of the
        minor unit.
        """
        fee: Decimal | None = None
        is_converted = False
        for name in self._costs:
            value, of_currency = self._amount(cells, name)
            if value is None:
                continue
            if of_currency == currency:
                cost = abs(value)
            elif of_currency == price_currency and per_cash is not None:
                cost, is_converted = abs(value) / per_cash, True
            elif not value:
                continue
            else:
                title = self._amounts[name].title
                raise RowProblem("currency", f"{title} is in {of_currency} and the row has no rate for it.", title)
            fee = cost if fee is None else fee + cost
        if fee is None or not is_converted:
            return fee if fee is None else self._stored(fee, "fees")
        return self._stored(fee, "fees", is_price=True).quantize(minor_unit(currency), rounding=ROUND_HALF_EVEN)

    def _cash(
        self, row: TransactionRow, cells: Sequence[str], kind: str, action: str, total: Decimal, currency: str
    ) -> TransactionRow:
        """A booking of cash alone. Money out may or may not carry its sign; dividends and interest may be
        taken back.
        """
        if kind in ("withdrawal", "transfer_out") or action.casefold() in (
            "new card cost",
            "adr fee",
            "custody fee",
        ):
            cash = -abs(total)
        elif kind in ("deposit", "transfer_in", "return_of_capital"):
            if total < 0:
                raise RowProblem(
                    "contradicting_sign", f"“{action}” brings money in and its Total is negative.", "Total"
                )
            cash = total
        else:
            cash = total
        fee = self._fee(cells, currency, currency, ONE) if kind in ("deposit", "withdrawal", "interest") else None
        tax, tax_currency = self._amount(cells, "withholding tax")
        if tax and tax_currency != currency:
            note = f"{row.note}; withholding tax {tax} {tax_currency}".strip("; ")
            return replace(row, currency=currency, cash_amount=cash, fee=fee, note=note[:NOTE_CHARACTERS])
        return replace(row, currency=currency, cash_amount=cash, fee=fee, tax=abs(tax) if tax else None)

    def _split(self, row: TransactionRow, action: str, quantity: Decimal | None) -> list[TransactionRow]:
        """ "Stock split close" takes all old shares out, "open" brings the new ones in, in either order:
        one row of their difference.
        """
        if row.instrument is None or not quantity:
            raise RowProblem("missing", f"“{action}” needs a ticker and a number of shares.", "No. of shares")
        is_open = action.casefold().endswith("open")
        who = row.instrument.symbol or row.instrument.isin
        moment = row.local_time
        mine, other = (
            (who, f"{row.trade_date} {moment} {is_open}"),
            (who, f"{row.trade_date} {moment} {not is_open}"),
        )
        waiting = self._splits.pop(other, None)
        if waiting is None:
            if mine in self._splits:
                raise RowProblem("incomplete_split", f"Two rows “{action}” of {who} at one time.", "Action")
            self._splits[mine] = (row.line, action, abs(quantity), row)
            return []
        _, _, first_quantity, first = waiting
        new, old = (abs(quantity), first_quantity) if is_open else (first_quantity, abs(quantity))
        opened, closed = (row, first) if is_open else (first, row)
        ratio = self._stored(new / old, "No. of shares", is_price=True)
        if (
            opened.instrument is not None
            and closed.instrument is not None
            and opened.instrument.isin != closed.instrument.isin
        ):
            group = f"split:{who} {row.trade_date} {moment}"[:100]
            moved = replace(closed, kind="symbol_change", quantity=-old, ratio=ratio, group=group)
            return [
                moved,
                replace(opened, kind="symbol_change", quantity=new, ratio=ratio, group=group, leg=1),
            ]
        return [replace(opened, quantity=self._stored(new - old, "No. of shares"), ratio=ratio)]

    def _exchange(
        self,
        line: int,
        cells: Sequence[str],
        day: date,
        instant: datetime | None,
        clock: str,
        external_id: str,
    ) -> list[TransactionRow]:
        """One leg per currency, and the conversion fee as a leg of its own."""
        sold, sold_currency = self._amount(cells, "currency conversion from amount")
        bought, bought_currency = self._amount(cells, "currency conversion to amount")
        if not sold or not bought:
            raise RowProblem(
                "missing", "A conversion needs its from and to amounts. Include both in the export.", "Action"
            )
        legs = [(sold_currency, -abs(sold), "fx"), (bought_currency, abs(bought), "fx")]
        fee, fee_currency = self._amount(cells, "currency conversion fee")
        if fee:
            legs.append((fee_currency, -abs(fee), "fee"))
        group = f"fx:{external_id or f'{day} {clock} {sold} {bought}'}"[:100]
        return [
            TransactionRow(
                line=line,
                account="",
                kind=kind,
                trade_date=day,
                currency=currency,
                traded_at=instant,
                local_time=clock,
                cash_amount=amount,
                external_id=external_id,
                group=group,
                leg=leg,
                note="Currency conversion",
            )
            for leg, (currency, amount, kind) in enumerate(legs)
        ]

    def _stored(self, value: Decimal, name: str, *, is_price: bool = False) -> Decimal:
        try:
            return recorded(value, is_price=is_price)
        except NumberProblem as exc:
            raise RowProblem(exc.code, f"{name}: {exc.detail}", name) from exc


def _rate_that_explains(stated: Decimal | None, unit: Decimal, gross: Decimal, total: Decimal) -> Decimal | None:
    """Units of the price's currency for one of the cash's, from the rate as stated.

    Exports state it in quoted units (pence), in whole ones, or the other way round: the reading under
    which quantity x price
    comes within 5 % of Total is right, the usual one first. None where no rate is stated or none explains
    Total.
    """
    if stated is None or stated <= 0:
        return None
    for reading in (stated * unit, stated, ONE / stated):
        if reading and abs(gross / reading - total) * 20 <= total:
            return reading
    return None
