"""Calculation cases (`portfolio-case/1`): a case becomes files and prices of a fresh user; its figures are read back as answers."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

CORE = frozenset(
    """quantity cost_basis average_cost market_value unrealised_gain realised_gain lots price dividends interest fees taxes
    cash cash_total net_contribution total_value total_gain simple_return period_gain twr xirr cumulative_return
    annualised_return volatility sharpe downside_deviation sortino max_drawdown""".split()
)
CLAIMED_EXTRAS = frozenset(
    """realised_gains relieved_cost missing_quantity open_positions realised_fx_gain unrealised_fx_gain twr_annualised
    modified_dietz peak_date trough_date recovery_date calmar omega var cvar beta alpha information_ratio""".split()
)
UNSCORED_RULES = {("lot_pool", "global"), ("missing_price", "first_quote")}
COLUMNS = (
    "account trade_date kind symbol quantity price fee tax cash_amount currency fx_rate fx_currency ratio group multiplier"
).split()


@dataclass(frozen=True, slots=True)
class Case:
    """One case file. `body` is the JSON as it stands."""

    path: Path
    body: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def group(self) -> str:
        return str(self.body["group"])

    @property
    def rules(self) -> dict[str, Any]:
        rules: dict[str, Any] = self.body.get("rules", {})
        return rules

    def not_scored(self, figure: dict[str, Any]) -> str:
        """Why an expected figure is not scored; "" where it is."""
        name = figure["figure"]
        if name not in CORE and name not in CLAIMED_EXTRAS:
            return "figure is not claimed"
        if figure.get("status") == "quirk":
            return "a peer's own way"
        if figure.get("flow_timing", "end") != "end":
            return f"flow timing {figure['flow_timing']}"
        for rule, value in UNSCORED_RULES:
            if self.rules.get(rule) == value:
                return f"rule {rule}: {value}"
        return ""


def read_cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        if isinstance(body, dict) and body.get("schema") == "portfolio-case/1":
            yield Case(path, body)


def transactions_csv(case: Case) -> bytes:
    """The case's transactions as a generic transactions CSV, in its order."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    for number, transaction in enumerate(case.body.get("transactions", []), start=1):
        for row in _rows(case, transaction, number):
            writer.writerow(row)
    return out.getvalue().encode()


def _rows(case: Case, item: dict[str, str], number: int) -> Iterator[dict[str, str]]:
    kind, account = item["type"], item.get("account", "main")
    row: dict[str, str] = {
        "account": account,
        "trade_date": item["date"],
        "kind": kind,
        "symbol": item.get("symbol", ""),
        "currency": item.get("currency", "") or _asset(case, item).get("currency", case.body.get("base_currency", "")),
        "multiplier": _asset(case, item).get("multiplier", "") if item.get("symbol") else "",
        **{name: item[name] for name in ("quantity", "price", "fee", "tax", "ratio") if name in item},
    }
    if "fx_rate" in item:
        row |= {"fx_rate": item["fx_rate"], "fx_currency": item["fx_to"]}
    if kind == "transfer":
        group = f"transfer-{number}"
        yield row | {"kind": "transfer_out", "group": group}
        yield row | {"kind": "transfer_in", "account": item["to_account"], "group": group, "fee": "", "price": ""}
        return
    amount, fee, tax = (Decimal(item.get(name, "0")) for name in ("amount", "fee", "tax"))
    if "imported_amount" in item:
        row["cash_amount"] = item["imported_amount"]
    elif "amount" in item:
        row["cash_amount"] = str(amount + fee if kind == "withdrawal" else amount - fee - tax)
    elif "gross" in item:
        gross = Decimal(item["gross"])
        row["cash_amount"] = str(-(gross + fee + tax) if kind == "buy" else gross - fee - tax)
    yield row


def _asset(case: Case, item: dict[str, str]) -> dict[str, str]:
    assets: dict[str, dict[str, str]] = case.body.get("assets", {})
    return assets.get(item.get("symbol", ""), {})
