from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from ingestion.models import ImportRun
from ingestion.tests.factories import buys, csv

pytestmark = pytest.mark.django_db


def test_file_is_imported_in_this_process(owner: User, tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_bytes(buys(3))
    out = StringIO()
    call_command("import_file", path, user=owner.email, stdout=out)
    run = ImportRun.objects.get()
    assert (run.trigger, run.staged, run.filename) == ("command", 3, "trades.csv")
    assert out.getvalue() == (
        "trades.csv reconciling, 3 rows: 3 staged, 0 unchanged, 0 rejected, 0 ignored "
        f"(generic_transactions, import {run.pk})\n"
    )


def test_what_cannot_be_imported_ends_the_command(owner: User, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(csv("A1,2024-13-03,buy,ACME,4,6,USD"))
    with pytest.raises(CommandError, match="No row of the file can be taken"):
        call_command("import_file", path, user=owner.email)
    with pytest.raises(CommandError, match="No user has the e-mail"):
        call_command("import_file", path, user="nobody@example.org")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_file", tmp_path / "none.csv", user=owner.email)
    with pytest.raises(CommandError, match="is not the id of a source"):
        call_command("import_file", path, user=owner.email, source="x")
