from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from pytest_django.fixtures import Settings

from stackmotive.common import vega_bundle


@pytest.mark.parametrize(
    "borrowed",
    [
        "django_htmx/htmx-2.min.js",
        *(f"unfold/fonts/inter/Inter-{weight}.woff2" for weight in ("Regular", "Medium", "SemiBold", "Bold")),
    ],
)
def test_borrowed_files_are_where_the_pages_expect_them(borrowed: str) -> None:
    assert finders.find(borrowed) is not None


def test_chart_libraries_come_from_the_installed_wheel(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    found = finders.find(vega_bundle.NAME)
    assert isinstance(found, str)
    assert "window.vegaEmbed=" in Path(found).read_text(encoding="utf-8")
    listed = [name for name, _ in vega_bundle.VegaBundleFinder().list([])]
    assert listed == [vega_bundle.NAME]


def test_bundle_is_written_once(tmp_path: Path) -> None:
    target = vega_bundle.build_bundle(tmp_path)
    target.write_text("kept")
    assert vega_bundle.build_bundle(tmp_path).read_text() == "kept"
    assert [path.name for path in target.parent.iterdir()] == ["vega.js"]
