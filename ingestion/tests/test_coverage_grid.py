import datetime as dt

from ingestion.coverage_grid import Month, Spoken, months_of


def spoken(content: int, start: str, end: str, completeness: str = "declared") -> Spoken:
    return Spoken(content, dt.date.fromisoformat(start), dt.date.fromisoformat(end), completeness)


def grid(*files: Spoken, until: str = "2024-01-01", is_report: bool = False) -> list[Month]:
    return list(months_of(files, until=dt.date.fromisoformat(until), is_report=is_report))


def states(*files: Spoken, until: str = "2024-01-01", is_report: bool = False) -> list[tuple[str, str, int]]:
    return [(one.month, one.state, one.files) for one in grid(*files, until=until, is_report=is_report)]


def test_two_statements_that_meet_declare_their_month() -> None:
    files = (spoken(1, "2024-01-01", "2024-01-20"), spoken(2, "2024-01-15", "2024-02-29"))
    assert grid(*files) == [Month("2024-01", "declared", 2, 31, 31), Month("2024-02", "declared", 1, 29, 29)]


def test_month_with_a_hole_is_inferred() -> None:
    files = (spoken(1, "2024-01-01", "2024-01-10"), spoken(2, "2024-01-12", "2024-01-31"))
    assert grid(*files) == [Month("2024-01", "inferred", 2, 30, 31)]


def test_first_and_last_month_count_from_and_to_the_days_known() -> None:
    assert grid(spoken(1, "2024-01-20", "2024-02-05")) == [
        Month("2024-01", "declared", 1, 12, 12),
        Month("2024-02", "declared", 1, 5, 5),
    ]


def test_month_that_goes_on_after_the_statement_is_not_whole() -> None:
    assert states(spoken(1, "2024-02-01", "2024-02-10"), until="2024-02-20") == [("2024-02", "inferred", 1)]


def test_months_without_a_file_are_missing_up_to_the_last_day_asked_for() -> None:
    files = (spoken(1, "2023-11-01", "2023-11-30"), spoken(2, "2024-01-01", "2024-01-31"))
    assert states(*files, until="2024-03-05") == [
        ("2023-11", "declared", 1),
        ("2023-12", "missing", 0),
        ("2024-01", "declared", 1),
        ("2024-02", "missing", 0),
        ("2024-03", "missing", 0),
    ]


def test_broken_file_shows_unless_another_declares_the_month() -> None:
    broken = spoken(1, "2024-01-05", "2024-01-25", "broken")
    assert states(broken, spoken(2, "2024-01-10", "2024-01-31", "inferred")) == [("2024-01", "broken", 2)]
    assert states(broken, spoken(2, "2024-01-01", "2024-01-31")) == [("2024-01", "declared", 2)]


def test_one_declared_report_is_enough_for_its_month() -> None:
    files = (spoken(1, "2024-01-15", "2024-01-15"), spoken(2, "2024-02-15", "2024-02-15", "inferred"))
    assert states(*files, is_report=True) == [("2024-01", "declared", 1), ("2024-02", "inferred", 1)]


def test_statement_of_many_years_is_one_file_of_each_month() -> None:
    months = grid(spoken(1, "2014-01-01", "2023-12-31"), until="2023-12-31")
    assert len(months) == 120
    assert {(one.state, one.files) for one in months} == {("declared", 1)}


def test_nothing_is_no_month() -> None:
    assert grid() == []
