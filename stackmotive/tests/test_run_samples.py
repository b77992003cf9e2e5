"""The runner of broker samples on manifests written here."""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from federation.models import Transaction
from stackmotive.sample_files import Sample, compare, equal
from stackmotive.sample_imports import import_sample

pytestmark = pytest.mark.django_db

CSV = """\
account,trade_date,kind,symbol,isin,quantity,price,fee,cash_amount,currency
A1,2024-01-02,deposit,,,,,,1000,USD
A1,2024-01-03,buy,ACME,US0000000200,10,20.00,1.25,,USD
A1,2024-01-04,sell,ACME,US0000000200,4,21,0.5,,USD
A1,2024-01-05,dividend,ACME,US0000000200,,,,3.10,USD
"""
ROWS: list[dict[str, Any]] = [
    {"date": "2024-01-05", "type": "dividend", "symbol": "ACME", "quantity": None, "price": None, "fee": None,
     "currency": "USD", "cash": "3.1"},
    {"date": "2024-01-04", "type": "sell", "symbol": "US0000000200", "quantity": "-4", "price": "21", "fee": "0.50",
     "currency": "USD", "cash": "83.5"},
    {"date": "2024-01-03", "type": "buy", "symbol": "acme", "quantity": "10", "price": "20", "fee": "1.25",
     "currency": "USD", "cash": "-201.25"},
    {"date": "2024-01-02", "type": "deposit", "symbol": None, "quantity": None, "price": None, "fee": None,
     "currency": "USD", "cash": "1000"},
]  # fmt: skip
TOTALS = {
    "cash": {"USD": "885.35"},
    "positions": {"ACME": "6"},
    "positions_change": {"US0000000200": "6"},
    "dividends": {"USD": "3.10"},
    "sell_proceeds": {"USD": "83.50"},
}
FLEX = b"""\
<FlexQueryResponse><FlexStatements>
<FlexStatement accountId="U1" fromDate="20240101" toDate="20240131" whenGenerated="20240201;010000">
<Trades>
<Trade accountId="U1" currency="USD" assetCategory="STK" symbol="ACME" conid="7" multiplier="1" tradeDate="20240105"
 quantity="2" tradePrice="10" proceeds="-20" ibCommission="-1" netCash="-21" buySell="BUY" transactionID="1" />
</Trades>
<CashTransactions />
<OpenPositions>
<OpenPosition accountId="U1" currency="USD" assetCategory="STK" symbol="ACME" conid="7" multiplier="1"
 reportDate="20240131" position="5" markPrice="11" />
</OpenPositions>
</FlexStatement>
</FlexStatements></FlexQueryResponse>
"""


def write(folder: Path, *items: dict[str, Any], files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps({"items": items}), encoding="utf-8")
    return folder


def run(folder: Path) -> tuple[str, int]:
    """(what was printed, exit code)."""
    out = io.StringIO()
    try:
        call_command("run_samples", str(folder), stdout=out)
    except SystemExit as exc:
        return out.getvalue(), int(exc.code or 0)
    return out.getvalue(), 0


def test_rows_in_any_order_and_totals_pass_and_leave_nothing_behind(tmp_path: Path) -> None:
    item = {"file": "a.csv", "expected_rows": ROWS, "expected_totals": TOTALS}
    text, code = run(write(tmp_path, item, files={"a.csv": CSV}))
    assert (text.splitlines()[-1], code) == ("1 passed, 0 failed", 0)
    assert "generic_transactions: 9 expected, 4 rows, 0 rejected" in text
    assert not User.objects.exists()
    assert not Transaction.objects.exists()


def test_each_wrong_figure_is_named_with_what_came_out(tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[1] | {"quantity": "-5", "fee": "0.51"}, ROWS[2], ROWS[3]]
    item = {"file": "a.csv", "expected_rows": rows, "expected_totals": {"positions": {"ACME": "5"}}}
    text, code = run(write(tmp_path, item, files={"a.csv": CSV}))
    assert code == 1
    assert "row 2024-01-04 sell US0000000200: quantity got -4, expected -5" in text
    assert "row 2024-01-04 sell US0000000200: fee got 0.5, expected 0.51" in text
    assert "positions ACME: got 6, expected 5" in text
    assert text.endswith("0 passed, 1 failed\n")


def test_a_row_too_many_and_a_row_too_few_fail(tmp_path: Path) -> None:
    second = ROWS[3] | {"date": "2024-02-02", "cash": "7", "type": "withdrawal"}
    items = (
        {"file": "a.csv", "expected_rows": ROWS[1:]},
        {"file": "b.csv", "expected_rows": [*ROWS, second]},
    )
    text, code = run(write(tmp_path, *items, files={"a.csv": CSV, "b.csv": CSV}))
    assert code == 1
    assert "row 2024-01-05 dividend ACME: got none for 3.1 USD, expected none" in text
    assert (
        "row 2024-02-02 withdrawal: got none, expected date 2024-02-02, type withdrawal, currency USD, cash 7" in text
    )
    assert text.endswith("0 passed, 2 failed\n")


def test_unregistered_layouts_and_service_replies_are_listed_and_not_counted(tmp_path: Path) -> None:
    files = {
        "reply.xml": "<FlexStatementResponse><Status>Warn</Status></FlexStatementResponse>",
        "api.json": '{"code": "200000"}',
        "other.csv": "Foo,Bar\n1,2\n",
    }
    items = [{"file": name, "expected_rows": [ROWS[0]]} for name in files]
    text, code = run(write(tmp_path, *items, files=files))
    assert text.count("left out") == 3
    assert (text.splitlines()[-1], code) == ("0 passed, 0 failed", 0)


def test_a_refused_and_a_missing_file_fail(tmp_path: Path) -> None:
    bad = "account,trade_date,kind,currency\nA1,yesterday,deposit,USD\n"
    text, code = run(write(tmp_path, {"file": "bad.csv"}, {"file": "gone.csv"}, files={"bad.csv": bad}))
    assert "generic_transactions: failed: " in text
    assert "line 2: " in text
    assert "the file is missing" in text
    assert (text.splitlines()[-1], code) == ("0 passed, 2 failed", 1)


def test_a_folder_without_samples_is_said_and_no_failure(tmp_path: Path) -> None:
    text, code = run(tmp_path / "nowhere")
    assert code == 0
    assert text.startswith("No samples: ")


def test_a_broken_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(CommandError, match="is not a manifest"):
        run(tmp_path)


def test_reports_count_for_positions_but_not_for_what_the_rows_moved() -> None:
    outcome, rejected = import_sample(FLEX, "flex.xml")
    assert rejected == []
    totals = {"positions": {"ACME": "5"}, "positions_by_conid": {"7": "5"}, "positions_change": {"ACME": "2"}}
    sample = Sample("flex.xml", Path("flex.xml"), None, totals | {"cash": {"USD": "-21"}})
    assert compare(sample, outcome) == []
    assert compare(Sample("f", Path("f"), [], {}), outcome) == [
        "row 2024-01-05 buy ACME: got 2 for -21 USD, expected none"
    ]


@pytest.mark.parametrize(
    ("got", "wanted", "rounded", "same"),
    [
        ("1.9090625", "1.91", True, True),
        ("1.9149", "1.91", True, True),
        ("1.916", "1.91", True, False),
        ("5.4", "5", True, False),
        ("10.001", "10.00", False, False),
        ("10.0", "10", False, True),
        ("0", "nothing", False, False),
    ],
)
def test_figures_are_compared_at_the_precision_they_are_written_in(
    got: str, wanted: str, rounded: bool, same: bool
) -> None:
    assert equal(Decimal(got), wanted, rounded=rounded) is same
