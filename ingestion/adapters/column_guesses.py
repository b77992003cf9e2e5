"""Which column of an unknown file is which field: by its name in several languages, and by what its cells
look like.
"""

import hashlib
import re
from collections.abc import Sequence

from ingestion.adapters.base import ColumnGuess
from ingestion.adapters.csv_reading import header_index, normalized
from ingestion.adapters.dates import DateProblem, parse_day
from ingestion.adapters.numbers import COMMA, POINT, NumberProblem, parse_number

EXACT, SYNONYM, CONTAINED = 1.0, 0.9, 0.5

SYNONYMS: dict[str, tuple[str, ...]] = {
    "trade_date": (
        "date", "trade date", "transaction date", "run date", "booking date", "activity date",
        "execution date", "datum",
        "handelsdatum", "buchungstag", "buchungsdatum", "transactiedatum", "date opération", "fecha", "data",
        "transaktionsdag",
        "handelsdag", "päivämäärä", "dato", "date of trade",
    ),
    "traded_at": ("datetime", "time", "timestamp", "date time", "date/time", "executed at", "utc time",
    "zeitpunkt"),
    "kind": (
        "type", "action", "transaction type", "activity type", "side", "buy/sell", "operation", "order type",
        "transactietype",
        "transaktionstyp", "typ", "art", "tipo", "soort", "type of transaction", "activity",
    ),
    "symbol": ("ticker", "ticker symbol", "security symbol", "instrument", "asset", "code", "symbole",
    "símbolo", "coin", "kürzel"),
    "name": (
        "description", "security", "security name", "company", "product", "produkt", "naam", "bezeichnung",
        "wertpapier",
        "wertpapierbezeichnung", "nombre", "libellé", "fund", "instrument name", "stock name",
    ),
    "isin": ("isin code", "isin-code"),
    "instrument_kind": ("asset class", "asset type", "security type", "instrument type", "asset category",
    "assetclass"),
    "quantity": (
        "shares", "units", "amount of shares", "no. of shares", "number of shares", "qty", "volume",
        "anzahl", "stück", "stücke",
        "aantal", "quantité", "cantidad", "quantità", "antal", "nominal", "stk", "size", "position",
    ),
    "price": (
        "unit price", "price per share", "price / share", "share price", "trade price", "execution price",
        "unit cost", "kurs",
        "koers", "preis", "prix", "precio", "prezzo", "cours", "quote", "rate per share", "market price",
        "last price",
    ),
    "fee": (
        "fees", "commission", "fees & comm", "commissions", "brokerage", "transaction fee", "gebühr",
        "gebühren", "provision",
        "kosten", "transactiekosten", "frais", "courtage", "comisión", "commissioni", "avgift",
    ),
    "tax": ("taxes", "withholding tax", "steuer", "steuern", "belasting", "impôt", "impuesto", "skatt",
    "tasse"),
    "cash_amount": (
        "amount", "net amount", "total", "net cash", "value", "total amount", "betrag", "bedrag", "montant",
        "importe", "importo",
        "belopp", "netto", "proceeds", "net value", "gesamtbetrag", "totaal", "cash",
    ),
    "currency": ("ccy", "currency code", "währung", "waehrung", "valuta", "devise", "moneda", "divisa",
    "munt", "currencyprimary"),
    "fee_currency": ("commission currency", "fee ccy", "currency of fee"),
    "fx_rate": ("exchange rate", "fx", "fx rate", "wechselkurs", "wisselkoers", "taux de change",
    "växlingskurs"),
    "fx_currency": ("account currency", "settlement currency", "base currency"),
    "external_id": (
        "id", "transaction id", "order id", "trade id", "reference", "ref", "txid", "referenz", "referentie",
        "order number", "deal id",
    ),
    "account": ("account number", "account name", "account id", "konto", "rekening", "compte", "cuenta",
    "portfolio", "depot"),
    "note": ("notes", "comment", "comments", "memo", "remark", "notiz", "opmerking", "bemerkung"),
    "exchange": ("market", "venue", "stock exchange", "börse", "beurs", "place", "mercado", "mic"),
    "settled_on": ("settlement date", "settle date", "value date", "valuta date", "valutadatum",
    "valutadatum"),
    "ratio": ("split ratio",),
    "multiplier": ("contract multiplier", "contract size"),
    "average_cost": ("average price", "avg cost", "avg price", "average cost price", "einstandskurs",
    "purchase price", "book price"),
    "cost_basis": ("cost", "book cost", "book value", "total cost", "einstandswert", "kaufwert", "invested",
    "cost base"),
    "as_of": ("as of", "as of date", "valuation date", "position date", "stichtag", "per"),
}  # fmt: skip

_BY_NAME: dict[str, tuple[str, float]] = {
    **{name: (field, SYNONYM) for field, names in SYNONYMS.items() for name in names},
    **{field.replace("_", " "): (field, EXACT) for field in SYNONYMS},
}
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMERIC = frozenset(
    {"quantity", "price", "fee", "tax", "cash_amount", "fx_rate", "multiplier", "average_cost", "cost_basis"}
)
_DAYS = frozenset({"trade_date", "traded_at", "settled_on", "as_of"})


def header_fingerprint(header: Sequence[str]) -> str:
    """64 hex digits of the set of column names: equal for the next file of the same layout, whatever the
    column order.
    """
    names = sorted({normalized(cell) for cell in header} - {""})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def propose_mapping(rows: Sequence[Sequence[str]]) -> tuple[ColumnGuess, ...]:
    """A guess per column of the first rows of a file, () where no row looks like a header.

    confidence: 1 our own field name, 0.9 a known synonym, 0.5 a synonym inside a longer name; halved where
    the cells below
    do not look like the field. One column per field: the surest, then the leftmost.
    """
    index = header_index(rows)
    if index is None:
        return ()
    header, below = rows[index], rows[index + 1 :]
    guesses: list[tuple[float, int, str]] = []
    for column, cell in enumerate(header):
        words = _CAMEL.sub(" ", cell.strip()).replace("_", " ")  # TradeDate, trade_date
        field, confidence = _by_name(normalized(words))
        if field and not _looks_like(field, [row[column] for row in below if column < len(row)]):
            confidence /= 2
        guesses.append((confidence, column, field))
    taken: set[str] = set()
    chosen: dict[int, tuple[str, float]] = {}
    for confidence, column, field in sorted(guesses, key=lambda guess: (-guess[0], guess[1])):
        if field and field not in taken:
            taken.add(field)
            chosen[column] = (field, confidence)
    return tuple(
        ColumnGuess(cell.strip(), *chosen.get(column, ("", 0.0))) for column, cell in enumerate(header) if cell.strip()
    )


def _by_name(name: str) -> tuple[str, float]:
    known = _BY_NAME.get(name)
    if known is not None:
        return known
    words = f" {name} "
    longest = max((known for known in _BY_NAME if len(known) > 3 and f" {known} " in words), key=len, default="")
    return (_BY_NAME[longest][0], CONTAINED) if longest else ("", 0.0)


def _looks_like(field: str, cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    if not filled or field not in _NUMERIC | _DAYS:
        return True
    fits = sum(1 for cell in filled if (_is_number(cell) if field in _NUMERIC else _is_day(cell)))
    return fits * 2 >= len(filled)


def _is_number(cell: str) -> bool:
    for number_format in (POINT, COMMA):
        try:
            parse_number(cell, number_format)
        except NumberProblem:
            continue
        return True
    return False


def _is_day(cell: str) -> bool:
    for order in ("dmy", "mdy"):
        try:
            parse_day(cell, "dmy" if order == "dmy" else "mdy")
        except DateProblem:
            continue
        return True
    return False
