"""A made-up ledger as files that StackMotive imports."""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from decimal import Decimal

from stackmotive.bench.generator import Ledger, Move, Trade
from stackmotive.common.money import plain

ACCOUNT = "B0000001"
COLUMNS = (
    "external_id", "account", "traded_at", "kind", "symbol", "isin", "instrument_kind", "quantity", "price", "fee",
    "cash_amount", "currency",
)  # fmt: skip


def cents(value: int) -> str:
    return plain(Decimal(value).scaleb(-2))


def ticks(value: int) -> str:
    return plain(Decimal(value).scaleb(-4))


def clock(second: int) -> str:
    """Time of day, counted from half past nine."""
    second += 9 * 3600 + 1800
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def ordered(ledger: Ledger) -> Iterator[tuple[int, Move | Trade]]:
    """Moves and trades in time order with a number each; a move of a day comes before its trades."""
    both: list[Move | Trade] = [*ledger.moves, *ledger.trades]
    both.sort(key=lambda one: (one.day, one.second if isinstance(one, Trade) else -1))
    yield from enumerate(both, start=1)


def transactions_csv(ledger: Ledger) -> bytes:
    """All of it in the generic transactions layout."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, one in ordered(ledger):
        day = ledger.days[one.day]
        if isinstance(one, Move):
            kind = "deposit" if one.cents > 0 else "withdrawal"
            cash = cents(abs(one.cents))
            writer.writerow(
                (f"C{number}", ACCOUNT, f"{day}T09:00:00Z", kind, "", "", "", "", "", "", cash, one.currency)
            )
            continue
        asset = ledger.assets[one.asset]
        is_trade = one.kind != "dividend"
        writer.writerow(
            (
                f"T{number}",
                ACCOUNT,
                f"{day}T{clock(one.second)}Z",
                one.kind,
                asset.symbol,
                asset.isin,
                asset.kind,
                ticks(one.quantity) if is_trade else "",
                ticks(one.price) if is_trade else "",
                cents(one.fee) if is_trade else "",
                cents(one.cash),
                asset.currency,
            )
        )
    return out.getvalue().encode()


def flex_xml(ledger: Ledger) -> bytes:
    """All of it as one Flex statement."""
    first, last = ledger.days[0], ledger.days[-1]
    window = (
        f'fromDate="{first:%Y%m%d}" toDate="{last:%Y%m%d}" whenGenerated="{last + dt.timedelta(days=1):%Y%m%d};010000"'
    )
    trades, bookings = [], []
    for number, one in ordered(ledger):
        day = f"{ledger.days[one.day]:%Y%m%d}"
        if isinstance(one, Move):
            named, told = f'currency="{one.currency}"', f'type="Deposits/Withdrawals" amount="{cents(one.cents)}"'
            bookings.append(_booking(number, day, named, told))
            continue
        asset = ledger.assets[one.asset]
        category = "STK" if asset.kind == "equity" else "CRYPTO"
        named = (
            f'currency="{asset.currency}" assetCategory="{category}" symbol="{asset.symbol}" '
            f'description="Company {asset.symbol}" conid="{100_000 + one.asset}" isin="{asset.isin}"'
        )
        if one.kind == "dividend":
            bookings.append(_booking(number, day, named, f'type="Dividends" amount="{cents(one.cash)}"'))
            continue
        sign, gross = (1, -one.gross) if one.kind == "buy" else (-1, one.gross)
        trades.append(
            f'<Trade accountId="{ACCOUNT}" {named} multiplier="1" tradeID="{number}" tradeDate="{day}" '
            f'dateTime="{day};{clock(one.second).replace(":", "")}" settleDateTarget="{day}" '
            f'transactionType="ExchTrade" quantity="{ticks(sign * one.quantity)}" tradePrice="{ticks(one.price)}" '
            f'proceeds="{cents(gross)}" taxes="0" ibCommission="{cents(-one.fee)}" '
            f'ibCommissionCurrency="{asset.currency}" netCash="{cents(one.cash)}" buySell="{one.kind.upper()}" '
            f'transactionID="{number}" orderType="LMT" levelOfDetail="EXECUTION" />'
        )
    lines = [
        '<FlexQueryResponse queryName="bench" type="AF">',
        '<FlexStatements count="1">',
        f'<FlexStatement accountId="{ACCOUNT}" {window}>',
        "<Trades>",
        *trades,
        "</Trades>",
        "<CashTransactions>",
        *bookings,
        "</CashTransactions>",
        "</FlexStatement>",
        "</FlexStatements>",
        "</FlexQueryResponse>",
    ]
    return "\n".join(lines).encode()


def _booking(number: int, day: str, named: str, told: str) -> str:
    return (
        f'<CashTransaction accountId="{ACCOUNT}" {named} dateTime="{day}" settleDate="{day}" reportDate="{day}" {told} '
        f'transactionID="{number}" levelOfDetail="DETAIL" />'
    )
