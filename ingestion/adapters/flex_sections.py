"""The other sections of a Flex statement: cash, corporate actions, transfers, taxes, positions, balances,
rates.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from ingestion.adapters.base import (
    CashRow,
    Ignored,
    PositionRow,
    PriceRow,
    RateRow,
    Statement,
    TransactionRow,
)
from ingestion.adapters.flex_values import Attributes, FlexValues, identifier, scaled, stored
from ingestion.adapters.rows import NOTE_CHARACTERS, RowProblem
from stackmotive.common.currencies import ISO_4217, quote_unit

# What IBKR calls a cash booking -> (kind where money comes in, kind where it goes out).
CASH_KINDS: Mapping[str, tuple[str, str]] = {
    "deposits/withdrawals": ("deposit", "withdrawal"),
    "deposits & withdrawals": ("deposit", "withdrawal"),
    "deposits and withdrawals": ("deposit", "withdrawal"),
    "deposits": ("deposit", "withdrawal"),
    "withdrawals": ("deposit", "withdrawal"),
    "debit card activity": ("deposit", "withdrawal"),
    "bill pay": ("deposit", "withdrawal"),
    "dividends": ("dividend", "dividend"),
    "payment in lieu of dividends": ("dividend", "dividend"),
    "withholding tax": ("tax", "tax"),
    "871(m) withholding": ("tax", "tax"),
    "sales tax": ("tax", "tax"),
    "broker interest paid": ("interest", "interest"),
    "broker interest received": ("interest", "interest"),
    "bond interest paid": ("interest", "interest"),
    "bond interest received": ("interest", "interest"),
    "other fees": ("fee", "fee"),
    "broker fees": ("fee", "fee"),
    "advisor fees": ("fee", "fee"),
    "client fees": ("fee", "fee"),
    "management fees": ("fee", "fee"),
    "commission adjustments": ("fee", "fee"),
}

# Codes of corporate actions -> kind. Each leg is a row with its own signed quantity; a split's is the units
# added.
ACTION_KINDS: Mapping[str, str] = {
    "FS": "split", "RS": "split", "FI": "split", "SO": "spinoff", "SD": "stock_dividend",
    "HD": "stock_dividend",
    "HI": "stock_dividend", "TC": "merger", "TO": "merger", "TI": "merger", "IC": "symbol_change",
    "BM": "merger",
    "CD": "stock_dividend", "RI": "rights", "DI": "rights", "SR": "rights", "OR": "rights", "DW": "expiry",
    "ED": "expiry",
    "PO": "merger", "GV": "merger", "CO": "merger",
}  # fmt: skip
ADDED = ("spinoff", "stock_dividend")  # what these give comes beside what is held
_ACTION_WORDS = (  # of statements older than the code, by what the description says
    (" SPLIT ", "split"), ("SPINOFF", "spinoff"), ("SPIN-OFF", "spinoff"), ("TENDERED TO", "merger"),
    ("MERGED", "merger"),
    ("CUSIP/ISIN CHANGE", "symbol_change"), ("STOCK DIVIDEND", "stock_dividend"), ("RIGHTS ISSUE", "rights"),
    ("DELISTED", "expiry"), ("EXPIRE", "expiry"),
)  # fmt: skip


class FlexSections:
    """One method per section, called for each of its rows; raises RowProblem. `window`: the statement's
    from and to.
    """

    def __init__(self, statement: Statement, values: FlexValues) -> None:
        self._statement = statement
        self._values = values
        self._actions: dict[str, list[int]] = {}  # group -> indexes of its legs
        self._balances: set[tuple[str, str, Decimal, date]] = set()  # (account, currency, balance, day) of the file
        self.window: tuple[date | None, date | None] = (None, None)
        self.reported: list[tuple[str, str, date]] = []  # (account, section, day) of positions and balances

    def cash_transaction(self, number: int, account: str, attributes: Attributes) -> None:
        values = self._values
        word = " ".join(attributes.get("type", "").split())
        kinds = CASH_KINDS.get(word.casefold())
        if kinds is None:
            raise RowProblem("unknown_kind", f"Cash bookings of type “{word[:60]}” are not known.", "type")
        currency, unit = values.currency(attributes.get("currency", ""))
        amount = scaled(values.needed(attributes, "amount"), unit)
        if not amount:
            self._statement.ignored.append(Ignored(number, "zero_amount"))
            return
        trade_date, local_time, settled_on, reported_on = self._days(attributes)
        kind = kinds[0] if amount > 0 else kinds[1]
        self._statement.transactions.append(
            TransactionRow(
                line=number,
                account=account,
                kind=kind,
                trade_date=trade_date,
                currency=currency,
                instrument=values.instrument(attributes, "") if kind not in ("deposit", "withdrawal") else None,
                local_time=local_time,
                settled_on=settled_on,
                reported_on=reported_on,
                cash_amount=amount,
                external_id=identifier(attributes, "transactionID"),
                note=attributes.get("description", "").strip()[:NOTE_CHARACTERS],
            )
        )

    def corporate_action(self, number: int, account: str, attributes: Attributes) -> None:
        values = self._values
        code = identifier(attributes, "type")
        description = attributes.get("description", "").strip()
        kind = ACTION_KINDS.get(code) if code else _kind_in_words(description)
        if kind is None:
            shown = code or description
            raise RowProblem("unknown_kind", f"Corporate actions of type “{shown[:60]}” are not known.", "type")
        currency, unit = values.currency(attributes.get("currency", ""))
        quantity = values.number(attributes, "quantity") or Decimal(0)
        proceeds = values.amount(attributes, "proceeds", unit) or Decimal(0)
        if not quantity and not proceeds:
            self._statement.ignored.append(Ignored(number, "moves_nothing"))
            return
        if not quantity and code == "CD":
            self._statement.ignored.append(Ignored(number, "booked_as_dividend"))  # among the cash transactions
            return
        instrument = values.instrument(attributes, currency)
        if instrument is None:
            raise RowProblem("missing", "The corporate action names no instrument.", "conid")
        # Booked in the evening before it takes effect, reported on the day whose trading knows it.
        trade_date = values.day(attributes, "reportDate") or values.day(attributes, "dateTime")
        if trade_date is None:
            raise RowProblem(
                "missing", "reportDate and dateTime are empty. Include one in the Flex query.", "reportDate"
            )
        action = identifier(attributes, "actionID")
        head = description.rsplit(" (", 1)[0]
        moment = attributes.get("dateTime", "")
        group = f"action:{action}" if action else f"action:{moment} {head}"[:100]
        legs = self._actions.setdefault(f"{account} {group}", [])
        legs.append(len(self._statement.transactions))
        self._statement.transactions.append(
            TransactionRow(
                line=number,
                account=account,
                kind=kind,
                trade_date=trade_date,
                currency=currency,
                instrument=instrument,
                quantity=quantity or None,
                cash_amount=proceeds or None,
                external_id=identifier(attributes, "transactionID"),
                group=group,
                leg=len(legs) - 1,
                note=description[:NOTE_CHARACTERS],
            )
        )

    def transfer(self, number: int, account: str, attributes: Attributes) -> None:
        values = self._values
        direction = attributes.get("direction", "").strip().upper()
        if direction not in ("IN", "OUT"):
            raise RowProblem(
                "unknown_kind",
                f"The transfer's direction is neither IN nor OUT: “{direction[:20]}”.",
                "direction",
            )
        sign = 1 if direction == "IN" else -1
        currency, unit = values.currency(attributes.get("currency", ""))
        quantity = values.number(attributes, "quantity")
        cash = values.amount(attributes, "cashTransfer", unit)
        instrument = None if attributes.get("assetCategory") == "CASH" else values.instrument(attributes, currency)
        if attributes.get("assetCategory") == "CASH" and quantity and not cash:
            cash, quantity = quantity, None
        if not cash and not (quantity and instrument):
            self._statement.ignored.append(Ignored(number, "moves_nothing"))
            return
        trade_date, local_time, settled_on, reported_on = self._days(attributes)
        row = TransactionRow(
            line=number,
            account=account,
            kind="transfer_in" if sign > 0 else "transfer_out",
            trade_date=trade_date,
            currency=currency,
            local_time=local_time,
            settled_on=settled_on,
            reported_on=reported_on,
            instrument=instrument if quantity else None,
            quantity=abs(quantity) * sign if quantity and instrument else None,
            cash_amount=abs(cash) * sign if cash else None,
            external_id=identifier(attributes, "transactionID"),
            note=attributes.get("description", "").strip()[:NOTE_CHARACTERS],
        )
        self._statement.transactions.append(row)

    def sales_tax(self, number: int, account: str, attributes: Attributes) -> None:
        currency, unit = self._values.currency(attributes.get("currency", ""))
        amount = scaled(self._values.needed(attributes, "salesTax"), unit)
        if not amount:
            self._statement.ignored.append(Ignored(number, "zero_amount"))
            return
        trade_date, local_time, settled_on, reported_on = self._days(attributes)
        self._statement.transactions.append(
            TransactionRow(
                line=number,
                account=account,
                kind="tax",
                trade_date=trade_date,
                currency=currency,
                local_time=local_time,
                settled_on=settled_on,
                reported_on=reported_on,
                cash_amount=amount,
                external_id=identifier(attributes, "transactionID"),
                note=attributes.get("taxableDescription", "Sales tax").strip()[:NOTE_CHARACTERS],
            )
        )

    def open_position(self, number: int, account: str, attributes: Attributes) -> None:
        values = self._values
        currency, unit = values.currency(attributes.get("currency", ""))
        instrument = values.instrument(attributes, currency)
        if instrument is None:
            raise RowProblem(
                "missing", "The position names no instrument. Include Conid and Symbol in the query.", "conid"
            )
        quantity = values.needed(attributes, "position")
        as_of = values.day(attributes, "reportDate") or self.window[1]
        if as_of is None:
            raise RowProblem("missing", "Neither the position nor the statement names its day.", "reportDate")
        mark = values.amount(attributes, "markPrice", unit, is_price=True)
        cost = values.amount(attributes, "costBasisMoney", unit)
        if cost is None:
            each = values.number(attributes, "costBasisPrice")
            cost = None if each is None else stored(each * unit * quantity * instrument.multiplier, "costBasisPrice")
        self._statement.positions.append(
            PositionRow(
                line=number,
                account=account,
                instrument=instrument,
                quantity=quantity,
                as_of=as_of,
                currency=currency,
                cost_basis=cost,
                price=mark,
            )
        )
        self.reported.append((account, "positions", as_of))
        if mark is not None and mark > 0:
            self._statement.prices.append(PriceRow(instrument, as_of, mark, currency))

    def cash_report(self, number: int, account: str, attributes: Attributes) -> None:
        values = self._values
        code = attributes.get("currency", "")
        if code == "BASE_SUMMARY" or attributes.get("levelOfDetail") == "BaseCurrency":
            self._statement.ignored.append(Ignored(number, "base_summary"))
            return
        currency, unit = values.currency(code)
        start = values.day(attributes, "fromDate") or self.window[0]
        end = values.day(attributes, "toDate") or self.window[1]
        opening, closing = values.number(attributes, "startingCash"), values.number(attributes, "endingCash")
        found = False
        for balance, day in (
            (opening, start - timedelta(days=1) if start is not None else None),
            (closing, end),
        ):
            if balance is not None and day is not None:
                row = CashRow(number, account, currency, scaled(balance, unit), day)
                # a year that opens with what the year before closed with says the same of one day twice
                told = (account, currency, row.balance, day)
                if told not in self._balances:
                    self._balances.add(told)
                    self._statement.cash.append(row)
                self.reported.append((account, "cash", day))
                found = True
        if not found:
            raise RowProblem(
                "missing",
                "startingCash and endingCash are empty. Include Ending Cash in the query.",
                "endingCash",
            )

    def conversion_rate(self, number: int, account: str, attributes: Attributes) -> None:
        values = self._values
        base, quote = attributes.get("fromCurrency", ""), attributes.get("toCurrency", "")
        rate = values.number(attributes, "rate")
        if base not in ISO_4217 or quote not in ISO_4217 or quote_unit(base)[0] != base:
            self._statement.ignored.append(Ignored(number, "rate_of_no_currency"))
            return
        if rate is None or rate <= 0:  # -1 stands for a rate that is not known
            self._statement.ignored.append(Ignored(number, "rate_unknown"))
            return
        day = values.day(attributes, "reportDate") or self.window[1]
        if day is None:
            raise RowProblem("missing", "reportDate is empty. Include it in the Flex query.", "reportDate")
        self._statement.rates.append(RateRow(base, quote, day, rate))

    def finish_actions(self) -> None:
        """A split whose legs are two instruments moved the holding to a new one: the units are replaced,
        not added. Units taken away beside others that come are exchanged; alone, who is short owes them.
        """
        rows = self._statement.transactions
        for legs in self._actions.values():
            gone = [index for index in legs if (rows[index].quantity or 0) < 0 and rows[index].kind in ADDED]
            if any((rows[index].quantity or 0) > 0 for index in legs):
                for index in gone:
                    rows[index] = replace(rows[index], kind="merger")
            if len(legs) < 2 or any(rows[index].kind != "split" for index in legs):
                continue
            names = {_name(rows[index]) for index in legs}
            out = sum(
                (rows[index].quantity or Decimal(0) for index in legs if (rows[index].quantity or 0) < 0),
                Decimal(0),
            )
            come = sum(
                (rows[index].quantity or Decimal(0) for index in legs if (rows[index].quantity or 0) > 0),
                Decimal(0),
            )
            if len(names) < 2 or not out or not come:
                continue
            ratio = _ratio(come, -out)
            for index in legs:
                rows[index] = replace(rows[index], kind="symbol_change", ratio=ratio)
        self._actions.clear()

    def _days(self, attributes: Attributes) -> tuple[date, str, date | None, date | None]:
        """(the day of the booking as stated, time or "", settlement day, report day where it differs)."""
        values = self._values
        moment = attributes.get("dateTime") or attributes.get("date") or ""
        day, local_time = values.moment(moment, "dateTime") if moment else (None, "")
        settled_on, reported_on = values.day(attributes, "settleDate"), values.day(attributes, "reportDate")
        trade_date = day or settled_on or reported_on
        if trade_date is None:
            raise RowProblem(
                "missing",
                "dateTime, settleDate and reportDate are empty. Include one in the query.",
                "dateTime",
            )
        return trade_date, local_time, settled_on, reported_on if reported_on != trade_date else None


def _kind_in_words(description: str) -> str | None:
    words = f"{description.upper()} "
    return next((kind for phrase, kind in _ACTION_WORDS if phrase in words), None)


def _name(row: TransactionRow) -> str:
    return "" if row.instrument is None else row.instrument.conid or row.instrument.isin or row.instrument.symbol


def _ratio(new: Decimal, old: Decimal) -> Decimal | None:
    """New units for one old, None where no one could have meant it."""
    try:
        return stored(new / old, "quantity", is_price=True)
    except RowProblem:
        return None
