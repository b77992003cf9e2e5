"""One row of a positions file, generic or mapped: what an account held at the close of a day, or its cash
in one currency.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from ingestion.adapters.base import (
    CashRow,
    Completeness,
    CoverageRow,
    InstrumentRef,
    ParseOptions,
    PositionRow,
    PriceRow,
    Progress,
    Statement,
)
from ingestion.adapters.csv_reading import Table
from ingestion.adapters.dates import DateProblem
from ingestion.adapters.numbers import NumberProblem, recorded
from ingestion.adapters.rows import (
    NAME_CHARACTERS,
    RowProblem,
    aligned,
    bounded,
    parse_currency,
    parse_instrument_kind,
    parse_isin,
)
from ingestion.adapters.transaction_cells import CellRules

POSITION_FIELDS = (
    "account", "symbol", "instrument_kind", "isin", "name", "quantity", "average_cost", "cost_basis",
    "price", "currency", "as_of",
    "exchange", "multiplier",
)  # fmt: skip
PROGRESS_ROWS = 1000


class PositionCells:
    """Reads rows whose columns are known. `as_of`: the day where no column states one."""

    def __init__(
        self,
        columns: Mapping[str, int],
        rules: CellRules,
        *,
        as_of: date | None,
        constants: Mapping[str, str] | None = None,
    ) -> None:
        self._rules = rules
        self._as_of = as_of
        self._constants = {field: value for field, value in (constants or {}).items() if field not in columns}
        self._columns = [(field, columns.get(field, -1)) for field in POSITION_FIELDS]

    def row(self, line: int, cells: Sequence[str]) -> tuple[PositionRow, PriceRow | None] | CashRow:
        """A position with the price its source used, or a cash balance. Raises RowProblem."""
        value = {field: cells[index].strip() for field, index in self._columns} | self._constants
        account = bounded(value["account"], "account")
        as_of = self._day(value["as_of"])
        currency = parse_currency(value["currency"])
        quantity = self._amount(value["quantity"], "quantity")
        if quantity is None:
            raise RowProblem("missing", "quantity is empty; a holding that is gone has quantity 0.", "quantity")
        if value["instrument_kind"].casefold() == "cash":
            if value["symbol"] and value["symbol"].upper() != currency:
                raise RowProblem("contradiction", "A cash row names its currency alone: leave symbol empty.", "symbol")
            return CashRow(line=line, account=account, currency=currency, balance=quantity, as_of=as_of)
        if not value["symbol"] and not value["isin"]:
            raise RowProblem("missing", "A position needs symbol or isin; cash has instrument_kind cash.", "symbol")
        multiplier = self._amount(value["multiplier"], "multiplier") or Decimal(1)
        instrument = InstrumentRef(
            symbol=bounded(value["symbol"], "symbol"),
            name=value["name"][:NAME_CHARACTERS],
            kind=parse_instrument_kind(value["instrument_kind"]),
            isin=parse_isin(value["isin"]),
            exchange=bounded(value["exchange"], "exchange"),
            currency=currency,
            multiplier=multiplier,
        )
        price = self._amount(value["price"], "price")
        position = PositionRow(
            line=line,
            account=account,
            instrument=instrument,
            quantity=quantity,
            as_of=as_of,
            currency=currency,
            cost_basis=self._cost_basis(value, quantity, multiplier),
            price=price,
        )
        return position, PriceRow(instrument, as_of, price, currency) if price is not None and price > 0 else None

    def _day(self, text: str) -> date:
        if not text and self._as_of is not None:
            return self._as_of
        if not text:
            raise RowProblem("missing", "as_of is empty: the day that the position describes.", "as_of")
        try:
            return self._rules.day(text)[0]
        except DateProblem as exc:
            raise RowProblem("bad_date", f"as_of: {exc}", "as_of") from exc

    def _amount(self, text: str, field: str) -> Decimal | None:
        if not text:
            return None
        try:
            return self._rules.price(text) if field == "price" else self._rules.number(text)
        except NumberProblem as exc:
            raise RowProblem(exc.code, f"{field}: {exc.detail}", field) from exc

    def _cost_basis(self, value: Mapping[str, str], quantity: Decimal, multiplier: Decimal) -> Decimal | None:
        """The cost of the whole position: stated, or average_cost x quantity x multiplier; None where
        neither is given.
        """
        stated = self._amount(value["cost_basis"], "cost_basis")
        if stated is not None:
            return stated
        average = self._amount(value["average_cost"], "average_cost")
        if average is None:
            return None
        try:
            return recorded(average * quantity * multiplier)
        except NumberProblem as exc:
            raise RowProblem(
                exc.code, f"average_cost x quantity: {exc.detail} State cost_basis.", "average_cost"
            ) from exc


def read_positions(
    table: Table, reader: PositionCells, layout: str, options: ParseOptions, progress: Progress
) -> Statement:
    """Every data row of `table`: a position, a cash balance or a problem; twins of one holding are added
    up by nobody here.
    """
    statement = Statement(layout=layout)
    width, total = len(table.header), len(table.rows)
    held: set[tuple[str, date]] = set()
    balances: set[tuple[str, date]] = set()
    for number, (line, cells) in enumerate(zip(table.lines, table.rows, strict=True)):
        if number % PROGRESS_ROWS == 0:
            progress(number, total)
        try:
            row = reader.row(line, aligned(cells, width))
        except RowProblem as exc:
            statement.problems.append(exc.at(line, table.delimiter.join(cells[:width])))
            continue
        if isinstance(row, CashRow):
            statement.cash.append(row)
            balances.add((row.account, row.as_of))
            continue
        position, price = row
        statement.positions.append(position)
        held.add((position.account, position.as_of))
        if price is not None:
            statement.prices.append(price)
    progress(total, total)
    completeness: Completeness = "declared" if options.whole else "inferred"
    if statement.problems:
        completeness = "broken"
    statement.coverage = [CoverageRow(account, "positions", day, day, completeness) for account, day in sorted(held)]
    statement.coverage += [CoverageRow(account, "cash", day, day, completeness) for account, day in sorted(balances)]
    statement.cash_mode = "tracked" if balances else "external"
    return statement
