"""Executions of a Flex statement: shares, options, funds, contracts without notional in cash, exchanges of
currency, cancels.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from ingestion.adapters.base import Ignored, InstrumentRef, PriceRow, Statement, TransactionRow
from ingestion.adapters.flex_values import Attributes, FlexValues, identifier, stored
from ingestion.adapters.rows import NOTE_CHARACTERS, RowProblem

NO_NOTIONAL = frozenset({"CFD", "FUT"})  # their netCash is the commission; proceeds is a notional that nobody pays
OPTIONS = frozenset({"OPT", "FOP", "FSFOP"})

Days = tuple[date, str, date | None, date | None]


class FlexTrades:
    """Collects the executions of one file. Cancels wait until `settle_cancels`, since they may precede
    what they cancel.
    """

    def __init__(self, statement: Statement, values: FlexValues) -> None:
        self._statement = statement
        self._values = values
        self._trade_ids: dict[int, str] = {}  # line -> tradeID, which a corrected trade shares with the wrong one
        self._cancels: list[tuple[TransactionRow, str, str]] = []  # row, origTransactionID, origTradeID
        self._marked: set[tuple[InstrumentRef, date]] = set()
        self._groups: defaultdict[str, int] = defaultdict(int)

    def add(self, number: int, account: str, attributes: Attributes) -> None:
        """Book one execution. Raises RowProblem."""
        get = attributes.get
        values = self._values
        currency, unit = values.currency(get("currency", ""))
        quantity = values.needed(attributes, "quantity")
        if not quantity:
            raise RowProblem("bad_number", "quantity is 0.", "quantity")
        commission_currency = get("ibCommissionCurrency")
        fee_currency = values.currency(commission_currency)[0] if commission_currency else currency
        commission = values.number(attributes, "ibCommission")
        category = get("assetCategory", "")
        if category == "CASH":
            self._exchange(number, account, attributes, currency, quantity, commission, fee_currency)
            return
        notes = get("notes", "")
        side = get("buySell", "").upper()
        is_cancel = get("transactionType") == "TradeCancel" or "(CA.)" in side or "Ca" in notes.split(";")
        if not is_cancel and quantity > 0 and side.startswith("SELL"):
            quantity = -quantity
        elif not is_cancel and quantity < 0 and side.startswith("BUY"):
            raise RowProblem("contradicting_sign", "A BUY with a negative quantity that is no cancel.", "quantity")
        instrument = values.instrument(attributes, currency)
        if instrument is None:
            raise RowProblem(
                "missing",
                "The trade names no instrument. Include Conid and Symbol in the Flex query.",
                "conid",
            )
        trade_date, local_time, settled_on, reported_on = self._days(attributes)
        taxes = values.amount(attributes, "taxes", unit)
        fee, tax = _costs(commission, taxes, is_one_currency=fee_currency == currency)
        row = TransactionRow(
            line=number,
            account=account,
            kind=_kind(quantity, category, notes),
            trade_date=trade_date,
            currency=currency,
            instrument=instrument,
            local_time=local_time,
            settled_on=settled_on,
            reported_on=reported_on,
            quantity=quantity,
            price=values.amount(attributes, "tradePrice", unit, is_price=True),
            fee=fee,
            fee_currency=fee_currency if fee_currency != currency else "",
            tax=tax,
            cash_amount=self._cash(attributes, category, unit, commission if fee_currency == currency else None, taxes),
            external_id=identifier(attributes, "transactionID"),
            note=notes.strip(";")[:NOTE_CHARACTERS],
        )
        if is_cancel:
            self._cancels.append(
                (row, identifier(attributes, "origTransactionID"), identifier(attributes, "origTradeID"))
            )
            return
        trade_id = get("tradeID")
        if trade_id:
            self._trade_ids[number] = trade_id
        self._statement.transactions.append(row)
        if get("closePrice"):
            self._mark(
                instrument,
                reported_on or trade_date,
                values.amount(attributes, "closePrice", unit, is_price=True),
            )

    def settle_cancels(self) -> None:
        """Take canceled trades out with their cancels; a commission that was not given back stays as a row
        of kind fee.

        A cancel whose trade is not in the file is booked as the opposite trade, in a group that names what
        it cancels.
        """
        if not self._cancels:
            return
        rows = self._statement.transactions
        booked = _Booked(rows, self._trade_ids)
        removed: dict[int, TransactionRow | None] = {}
        for cancel, transaction_id, trade_id in self._cancels:
            found = booked.take(cancel, transaction_id, trade_id)
            if found is None:
                named = transaction_id or trade_id
                note = f"Cancels trade {named}".strip()
                rows.append(replace(cancel, group=f"cancel:{named}" if named else "", note=note[:NOTE_CHARACTERS]))
                continue
            original = rows[found]
            kept = (original.cash_amount or Decimal(0)) + (cancel.cash_amount or Decimal(0))
            removed[found] = _kept_commission(original, kept) if kept else None
            if not kept:
                self._statement.ignored.append(Ignored(original.line, "canceled_trade"))
            self._statement.ignored.append(Ignored(cancel.line, "trade_cancel"))
        self._cancels.clear()
        self._statement.transactions = [
            replacement for index, row in enumerate(rows) if (replacement := removed.get(index, row)) is not None
        ]

    def _days(self, attributes: Attributes) -> Days:
        """(trade day, time of day or "", settlement day, report day where it differs)."""
        values = self._values
        moment = attributes.get("dateTime")
        day, local_time = values.moment(moment, "dateTime") if moment else (None, "")
        trade_date = values.day(attributes, "tradeDate") or day
        reported_on = values.day(attributes, "reportDate")
        trade_date = trade_date or reported_on
        if trade_date is None:
            raise RowProblem("missing", "tradeDate and dateTime are empty. Include one in the Flex query.", "tradeDate")
        if not local_time and attributes.get("tradeTime"):
            local_time = values.clock(attributes["tradeTime"])
        settled_on = values.day(attributes, "settleDateTarget")
        return trade_date, local_time, settled_on, reported_on if reported_on != trade_date else None

    def _cash(
        self,
        attributes: Attributes,
        category: str,
        unit: Decimal,
        commission: Decimal | None,
        taxes: Decimal | None,
    ) -> Decimal:
        """What the trade moved in cash, never quantity x price. Raises RowProblem where the query leaves
        out all that says it.
        """
        values = self._values
        net = values.amount(attributes, "netCash", unit)
        if net is not None:
            return net
        costs = (commission or Decimal(0)) + (taxes or Decimal(0))
        if category in NO_NOTIONAL:
            return stored(costs, "ibCommission")
        proceeds = values.amount(attributes, "proceeds", unit)
        if proceeds is not None:
            return stored(proceeds + costs, "proceeds")
        cost = values.amount(attributes, "cost", unit)
        if cost is not None and attributes.get("buySell", "").upper().startswith(
            "BUY"
        ):  # of a sale it is the lots' cost
            return -cost
        raise RowProblem("missing", "netCash and proceeds are empty. Include NetCash in the Flex query.", "netCash")

    def _exchange(
        self,
        number: int,
        account: str,
        attributes: Attributes,
        quote: str,
        quantity: Decimal,
        commission: Decimal | None,
        fee_currency: str,
    ) -> None:
        """EUR.USD: one leg in each currency and the commission, which may be in a third, as a leg of its
        own.
        """
        values = self._values
        pair = attributes.get("symbol", "").strip()
        first, dot, second = pair.partition(".")
        base = values.currency(first, "symbol")[0]
        if dot and second and values.currency(second, "symbol")[0] != quote:
            raise RowProblem("contradiction", f"{pair[:20]} is not quoted in {quote}.", "currency")
        price = values.number(attributes, "tradePrice", is_price=True)
        proceeds = values.number(attributes, "proceeds")
        if proceeds is None:
            if price is None:
                raise RowProblem("missing", "proceeds is empty. Include Proceeds in the Flex query.", "proceeds")
            proceeds = stored(-quantity * price, "proceeds")
        trade_date, local_time, settled_on, reported_on = self._days(attributes)
        external_id = identifier(attributes, "transactionID")
        name = (
            external_id or identifier(attributes, "tradeID") or f"{pair} {trade_date} {local_time} {quantity} {price}"
        )
        self._groups[name] += 1
        twin = self._groups[name]
        group = f"fx:{name}" if twin == 1 else f"fx:{name}#{twin}"
        common = TransactionRow(
            line=number,
            account=account,
            kind="fx",
            trade_date=trade_date,
            currency=base,
            local_time=local_time,
            settled_on=settled_on,
            reported_on=reported_on,
            cash_amount=quantity,
            external_id=external_id,
            group=group[:100],
            note=pair[:NOTE_CHARACTERS],
        )
        self._statement.transactions.append(common)
        self._statement.transactions.append(replace(common, currency=quote, cash_amount=proceeds, price=price, leg=1))
        if commission:
            self._statement.transactions.append(
                replace(common, kind="fee", currency=fee_currency, cash_amount=commission, leg=2)
            )

    def _mark(self, instrument: InstrumentRef, day: date, close: Decimal | None) -> None:
        """The close that the statement used on its report day, once per instrument and day."""
        if close is None or close <= 0 or (instrument, day) in self._marked:
            return
        self._marked.add((instrument, day))
        self._statement.prices.append(PriceRow(instrument, day, close, instrument.currency))


class _Booked:
    """Trades that a cancel may mean, found by opposite quantity and equal price and then by id or day; each is
    taken once."""

    def __init__(self, rows: Sequence[TransactionRow], trade_ids: Mapping[int, str]) -> None:
        self._found: defaultdict[tuple[object, ...], deque[int]] = defaultdict(deque)
        self._taken: set[int] = set()
        for index, row in enumerate(rows):
            if row.kind not in ("buy", "sell"):
                continue
            content = _content(row, row.quantity)
            trade_id = trade_ids.get(row.line, "")
            self._found["transaction", row.external_id, content].append(index)
            self._found["trade", trade_id, content].append(index)
            self._found["day", row.trade_date, content].append(index)
            if not trade_id:
                self._found["day without trade", row.trade_date, content].append(index)
            if not row.external_id:
                self._found["day without transaction", row.trade_date, content].append(index)

    def take(self, cancel: TransactionRow, transaction_id: str, trade_id: str) -> int | None:
        """The index of the canceled trade. A trade that bears another id than the cancel names is not meant."""
        content = _content(cancel, -cancel.quantity if cancel.quantity is not None else None)
        keys: list[tuple[object, ...]] = []
        if transaction_id:
            keys.append(("transaction", transaction_id, content))
        if trade_id:
            keys += [("trade", trade_id, content), ("day without trade", cancel.trade_date, content)]
        elif transaction_id:
            keys.append(("day without transaction", cancel.trade_date, content))
        else:
            keys.append(("day", cancel.trade_date, content))
        for key in keys:
            waiting = self._found.get(key)
            while waiting:
                index = waiting.popleft()
                if index not in self._taken:
                    self._taken.add(index)
                    return index
        return None


def _kind(quantity: Decimal, category: str, notes: str) -> str:
    if category in OPTIONS and notes:
        codes = notes.split(";")
        if "Ep" in codes:
            return "expiry"
        if "Ex" in codes or "A" in codes:
            return "exercise"
    return "buy" if quantity > 0 else "sell"


def _costs(
    commission: Decimal | None, taxes: Decimal | None, *, is_one_currency: bool
) -> tuple[Decimal | None, Decimal | None]:
    """(fee, tax) as positive costs. Transaction taxes are part of what the trade cost: one fee where one
    currency allows.
    """
    if not taxes:
        return None if commission is None else -commission, None
    if is_one_currency:
        return stored(-taxes - (commission or Decimal(0)), "taxes"), None
    return None if commission is None else -commission, -taxes


def _content(row: TransactionRow, quantity: Decimal | None) -> tuple[object, ...]:
    """What a trade and its cancel have in common, given the trade's quantity."""
    instrument = row.instrument
    who = "" if instrument is None else instrument.conid or instrument.isin or instrument.symbol
    return row.account, who, quantity, row.price


def _kept_commission(original: TransactionRow, amount: Decimal) -> TransactionRow:
    """What remains of a canceled trade: the commission that was not given back."""
    return replace(
        original,
        kind="fee",
        quantity=None,
        price=None,
        fee=None,
        fee_currency="",
        tax=None,
        cash_amount=amount,
        note="Commission of a canceled trade",
    )
