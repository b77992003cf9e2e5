"""One row of a transactions file, generic or mapped, to a TransactionRow: needs and signs of its kind,
cash where the kind fixes it.

cash_amount is authoritative where it is given; otherwise it is computed from quantity, price, fee and tax.
It is in
`fx_currency` where one is given, else in `currency`, and includes fee and tax in the same currency.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter

from ingestion.adapters.base import InstrumentRef, TransactionRow
from ingestion.adapters.dates import DateProblem
from ingestion.adapters.kinds import KIND_RULES, KindRule
from ingestion.adapters.numbers import NumberProblem, recorded
from ingestion.adapters.rows import (
    NAME_CHARACTERS,
    NOTE_CHARACTERS,
    RowProblem,
    bounded,
    parse_currency,
    parse_instrument_kind,
    parse_isin,
)
from stackmotive.common.currencies import ISO_4217

TRANSACTION_FIELDS = (
    "account", "trade_date", "traded_at", "kind", "symbol", "name", "instrument_kind", "isin", "quantity",
    "price", "fee", "tax",
    "cash_amount", "currency", "external_id", "note", "fee_currency", "fx_rate", "fx_currency", "ratio",
    "group", "exchange",
    "multiplier", "settled_on",
)  # fmt: skip

ParsedDay = tuple[date, datetime | None, str]
COMPUTABLE = frozenset({"buy", "sell", "dividend"})  # kinds whose cash is quantity x price x multiplier, less costs
ONE = Decimal(1)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class CellRules:
    """How the cells of one file are read. Functions raise NumberProblem or DateProblem."""

    number: Callable[[str], Decimal | None]
    price: Callable[[str], Decimal | None]
    day: Callable[[str], ParsedDay]
    kind: Callable[[str], str]  # a key of KIND_RULES or ""
    costs_may_be_negative: bool = False  # other products write a fee as -1.00; it is still a cost


class TransactionCells:
    """Reads rows whose columns are known. `columns`: field -> index into the row; a field without a column
    reads as "".
    """

    def __init__(
        self, columns: Mapping[str, int], rules: CellRules, constants: Mapping[str, str] | None = None
    ) -> None:
        self._rules = rules
        self._constants = dict(constants or {})
        self._select = itemgetter(*(columns.get(field, -1) for field in TRANSACTION_FIELDS))
        self._fill = [
            (i, self._constants[f])
            for i, f in enumerate(TRANSACTION_FIELDS)
            if f in self._constants and f not in columns
        ]
        self._instruments: dict[tuple[str, ...], InstrumentRef] = {}
        self._days: dict[str, ParsedDay] = {}
        self._currencies: dict[str, str] = {}
        self._numbers: dict[str, Decimal] = {}

    def row(self, line: int, cells: Sequence[str]) -> TransactionRow:
        """cells: as wide as the header, then one "" that columns which do not exist point at. Raises
        RowProblem.
        """
        values = list(map(str.strip, self._select(cells)))
        for index, constant in self._fill:
            values[index] = constant
        (account, trade_date, traded_at, kind_word, symbol, name, instrument_kind, isin, quantity_text,
        price_text, fee_text, tax_text,
         cash_text, currency_text, external_id, note, fee_currency_text, fx_rate_text, fx_currency_text,
         ratio_text, group, exchange,
         multiplier_text, settled_text) = values  # fmt: skip
        kind_word = kind_word if kind_word in KIND_RULES else self._kind(kind_word)
        rule = KIND_RULES[kind_word]
        day, instant, local_time = self._when(trade_date, traded_at)
        currency = self._currency(currency_text, "currency")
        multiplier = self._amount(multiplier_text, "multiplier") if multiplier_text else ONE
        if multiplier is None or multiplier <= 0:
            raise RowProblem("bad_number", "multiplier is not above 0.", "multiplier")
        quantity = self._amount(quantity_text, "quantity") if quantity_text else None
        price = self._amount(price_text, "price") if price_text else None
        fee = self._cost(fee_text, "fee", rule) if fee_text else None
        tax = self._cost(tax_text, "tax", rule) if tax_text else None
        cash = self._amount(cash_text, "cash_amount") if cash_text else None
        fx_rate, cash_currency = None, currency
        if fx_rate_text or fx_currency_text:
            fx_rate, cash_currency = self._exchange(
                fx_rate_text, fx_currency_text, currency, rule, has_cash=cash is not None
            )
        fee_currency = self._fee_currency(fee_currency_text) if fee_currency_text else currency
        has_instrument = bool(symbol or isin)
        if rule.needs_instrument and not has_instrument:
            raise RowProblem("missing", f"A row of kind {kind_word} needs symbol or isin.", "symbol")
        units = self._units(
            rule, kind_word, quantity, ratio_text, has_instrument=has_instrument, has_cash=cash is not None
        )
        if price is not None and price < 0 and instrument_kind.casefold() != "future":
            raise RowProblem("contradicting_sign", "price is negative.", "price")
        if rule.kind in ("fee", "tax"):
            cash, fee, tax = self._own_cost(rule, cash, fee, tax)
        gross = None
        if quantity is not None and price is not None:
            gross = abs(quantity) * price * multiplier
        costs = ZERO
        if fee or tax:
            costs = self._costs_in_cash(fee, tax, fee_currency, currency, cash_currency, fx_rate)
        if cash is None:
            cash = self._computed_cash(rule, kind_word, gross, costs, fx_rate, in_kind=has_instrument)
        else:
            cash = self._signed_cash(rule, kind_word, cash, gross, costs, in_kind=has_instrument)
        return TransactionRow(
            line=line,
            account=account if len(account) <= 100 else bounded(account, "account"),
            kind=rule.kind,
            trade_date=day,
            currency=currency,
            instrument=self._instrument(
                symbol,
                name,
                instrument_kind,
                isin,
                exchange,
                currency if units is not None else "",
                multiplier,
                multiplier_text,
            )
            if has_instrument
            else None,
            traded_at=instant,
            local_time=local_time,
            settled_on=self._day(settled_text, "settled_on")[0] if settled_text else None,
            quantity=units,
            price=price if units is not None else None,
            fee=fee,
            fee_currency=fee_currency if fee is not None and fee_currency != currency else "",
            tax=tax,
            cash_amount=cash,
            cash_currency=cash_currency if cash_currency != currency else "",
            fx_rate=fx_rate,
            ratio=self._ratio(ratio_text) if ratio_text else None,
            external_id=external_id if len(external_id) <= 100 else bounded(external_id, "external_id"),
            group=group if len(group) <= 100 else bounded(group, "group"),
            note=note[:NOTE_CHARACTERS],
        )

    def _kind(self, word: str) -> str:
        if not word:
            raise RowProblem("missing", "kind is empty.", "kind")
        name = self._rules.kind(word)
        if not name:
            raise RowProblem(
                "unknown_kind",
                f"“{word[:40]}” is not a kind of transaction. Known: {', '.join(KIND_RULES)}.",
                "kind",
            )
        return name

    def _day(self, text: str, field: str) -> ParsedDay:
        known = self._days.get(text)
        if known is None:
            try:
                known = self._days[text] = self._rules.day(text)
            except DateProblem as exc:
                raise RowProblem("bad_date", f"{field}: {exc}", field) from exc
        return known

    def _when(self, trade_date: str, traded_at: str) -> ParsedDay:
        if not traded_at:
            if not trade_date:
                raise RowProblem("missing", "The row states neither trade_date nor traded_at.", "trade_date")
            return self._day(trade_date, "trade_date")
        try:
            stated = self._rules.day(traded_at)
        except DateProblem as exc:
            raise RowProblem("bad_date", f"traded_at: {exc}", "traded_at") from exc
        if not trade_date:
            return stated
        day = self._day(trade_date, "trade_date")[0]
        if abs((day - stated[0]).days) > 1:
            raise RowProblem("contradiction", "trade_date and traded_at are more than a day apart.", "traded_at")
        return day, stated[1], stated[2]

    def _currency(self, text: str, field: str) -> str:
        known = self._currencies.get(text)
        if known is None:
            known = self._currencies[text] = parse_currency(text, field)
        return known

    def _fee_currency(self, text: str) -> str:
        """A currency, or the symbol of the coin that the fee was paid in."""
        code = text.upper()
        if code in ISO_4217:
            return code
        if not (2 <= len(code) <= 12 and code.isascii() and code.isalnum()):
            raise RowProblem(
                "currency",
                f"“{text[:20]}” is neither an ISO 4217 currency nor the symbol of a coin.",
                "fee_currency",
            )
        return code

    def _amount(self, text: str, field: str) -> Decimal | None:
        known = self._numbers.get(text)
        if known is not None:
            return known
        try:
            if field == "price":
                return self._rules.price(text)
            known = self._rules.number(text)
            if known is not None:
                self._numbers[text] = known
            return known
        except NumberProblem as exc:
            raise RowProblem(exc.code, f"{field}: {exc.detail}", field) from exc

    def _cost(self, text: str, field: str, rule: KindRule) -> Decimal | None:
        value = self._amount(text, field)
        if value is None or value >= 0:
            return value
        if self._rules.costs_may_be_negative or rule.kind == field:
            return -value
        raise RowProblem(
            "contradicting_sign",
            f"{field} is a cost and is given without a sign; money back is a row of kind {field}_refund.",
            field,
        )

    def _own_cost(
        self, rule: KindRule, cash: Decimal | None, fee: Decimal | None, tax: Decimal | None
    ) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
        """(cash, fee, tax) of a row of kind fee or tax, whose amount may stand in the column of that name,
        but counts once.
        """
        own = fee if rule.kind == "fee" else tax
        if own is not None and cash is not None and abs(cash) != own:
            raise RowProblem("contradiction", f"cash_amount and {rule.kind} state two different amounts.", rule.kind)
        cash = own if cash is None else cash
        return (cash, None, tax) if rule.kind == "fee" else (cash, fee, None)

    def _exchange(
        self, rate_text: str, currency_text: str, currency: str, rule: KindRule, *, has_cash: bool
    ) -> tuple[Decimal | None, str]:
        """(recorded rate: units of the cash currency for one of `currency`, the cash currency)."""
        rate = self._amount(rate_text, "fx_rate") if rate_text else None
        if rate is not None and rate <= 0:
            raise RowProblem("bad_number", "fx_rate is not above 0.", "fx_rate")
        if not currency_text:
            if rate is not None and rate != 1:
                raise RowProblem(
                    "missing",
                    "fx_rate is given without fx_currency, the currency that the cash moved in.",
                    "fx_currency",
                )
            return None, currency
        other = self._currency(currency_text, "fx_currency")
        if other == currency:
            if rate is not None and rate != 1:
                raise RowProblem(
                    "contradiction", "fx_currency is the row's own currency and fx_rate is not 1.", "fx_rate"
                )
            return None, currency
        if rule.kind == "fx":
            raise RowProblem(
                "contradiction",
                "An exchange is two rows of kind fx with one group, each with its own currency and cash_amount.",
                "fx_currency",
            )
        if rate is None and not has_cash:
            raise RowProblem("missing", f"fx_rate is needed to tell the cash in {other}.", "fx_rate")
        return rate, other

    def _units(
        self,
        rule: KindRule,
        word: str,
        quantity: Decimal | None,
        ratio: str,
        *,
        has_instrument: bool,
        has_cash: bool,
    ) -> Decimal | None:
        """The signed units that the row moves; None where its kind moves none."""
        if rule.units == "none":
            return None
        if quantity is None:
            if rule.needs_quantity:
                raise RowProblem("missing", f"A row of kind {word} needs quantity.", "quantity")
            if rule.kind == "split" and not ratio:
                raise RowProblem("missing", "A split needs ratio, or quantity: the units added.", "ratio")
            if rule.kind != "split" and (has_instrument or not has_cash):
                raise RowProblem(
                    "missing",
                    f"A row of kind {word} needs an instrument with quantity, or cash_amount alone.",
                    "quantity",
                )
            return None
        if not has_instrument:
            raise RowProblem("missing", f"A row of kind {word} with a quantity needs symbol or isin.", "symbol")
        if not quantity and rule.kind != "split":
            raise RowProblem("bad_number", "quantity is 0.", "quantity")
        if rule.units == "in" and quantity < 0:
            raise RowProblem(
                "contradicting_sign",
                f"A row of kind {word} adds units and its quantity is negative.",
                "quantity",
            )
        return -abs(quantity) if rule.units == "out" else quantity

    def _costs_in_cash(
        self,
        fee: Decimal | None,
        tax: Decimal | None,
        fee_currency: str,
        currency: str,
        cash_currency: str,
        fx_rate: Decimal | None,
    ) -> Decimal:
        """Fee and tax in the cash currency; a fee in a third currency is not in the cash."""
        rate = ONE if cash_currency == currency else fx_rate
        costs = ZERO
        if tax and rate is not None:
            costs += tax * rate
        if fee and fee_currency == cash_currency:
            costs += fee
        elif fee and fee_currency == currency and rate is not None:
            costs += fee * rate
        return costs

    def _computed_cash(
        self,
        rule: KindRule,
        word: str,
        gross: Decimal | None,
        costs: Decimal,
        fx_rate: Decimal | None,
        *,
        in_kind: bool,
    ) -> Decimal | None:
        if rule.needs_amount:
            if word not in COMPUTABLE:
                raise RowProblem("missing", f"A row of kind {word} needs cash_amount.", "cash_amount")
            if gross is None:
                raise RowProblem(
                    "missing",
                    f"A row of kind {word} needs cash_amount, or quantity and price.",
                    "cash_amount",
                )
            moved = gross * (ONE if fx_rate is None else fx_rate)
            return self._stored(-moved - costs if rule.cash == "out" else moved - costs)
        return self._stored(-costs) if costs and in_kind else None

    def _signed_cash(
        self,
        rule: KindRule,
        word: str,
        cash: Decimal,
        gross: Decimal | None,
        costs: Decimal,
        *,
        in_kind: bool,
    ) -> Decimal | None:
        """`cash` with the direction of its kind. A minus sign where money comes in is refused, unless
        costs ate the proceeds.
        """
        if rule.kind in ("transfer_in", "transfer_out") and in_kind:
            if cash:
                raise RowProblem(
                    "contradiction",
                    "A transfer of units moves no cash: its cost is given by price.",
                    "cash_amount",
                )
            return self._stored(-costs) if costs else None
        if rule.cash == "none":
            if cash:
                raise RowProblem(
                    "contradiction",
                    f"A row of kind {word} moves no cash: give that as a row of its own.",
                    "cash_amount",
                )
            return None
        if rule.cash == "out":
            return -abs(cash)
        if rule.cash == "in" and cash < 0 and not (rule.kind == "sell" and (gross is None or gross < costs)):
            hint = {"dividend": " Its reversal is dividend_reversal."}.get(rule.kind, "")
            raise RowProblem(
                "contradicting_sign",
                f"A row of kind {word} brings money in and its cash_amount is negative.{hint}",
                "cash_amount",
            )
        return cash

    def _stored(self, cash: Decimal) -> Decimal:
        """A computed amount must fit as well: only where no amount is given is a value refused for its
        precision.
        """
        try:
            return recorded(cash)
        except NumberProblem as exc:
            raise RowProblem(
                exc.code,
                f"cash_amount, from quantity and price: {exc.detail} State cash_amount.",
                "cash_amount",
            ) from exc

    def _ratio(self, text: str) -> Decimal:
        """New units for one old: "2", "0.1" or "1:10"."""
        new_text, colon, old_text = text.partition(":")
        new, old = self._amount(new_text, "ratio"), self._amount(old_text, "ratio") if colon else ONE
        if new is None or old is None or new <= 0 or old <= 0:
            raise RowProblem(
                "bad_number", "ratio is not above 0. Write 2 or 2:1 for two new units for one old.", "ratio"
            )
        try:
            return recorded(new / old, text, is_price=True)
        except NumberProblem as exc:
            raise RowProblem(exc.code, f"ratio: {exc.detail}", "ratio") from exc

    def _instrument(
        self,
        symbol: str,
        name: str,
        kind: str,
        isin: str,
        exchange: str,
        currency: str,
        multiplier: Decimal,
        multiplier_text: str,
    ) -> InstrumentRef:
        key = (symbol, name, kind, isin, exchange, currency, multiplier_text)
        known = self._instruments.get(key)
        if known is None:
            known = self._instruments[key] = InstrumentRef(
                symbol=bounded(symbol, "symbol"),
                name=name[:NAME_CHARACTERS],
                kind=parse_instrument_kind(kind),
                isin=parse_isin(isin),
                exchange=bounded(exchange, "exchange"),
                currency=currency,
                multiplier=multiplier,
            )
        return known
