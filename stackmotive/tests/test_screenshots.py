import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stackmotive.management.commands.screenshots import BROWSERS


@pytest.mark.browser
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium is installed")
def test_screenshots_of_an_instance_that_is_away_say_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="The browser failed"):
        call_command("screenshots", url="http://127.0.0.1:9", email="a@example.org", password="x", out=tmp_path)
    assert list(tmp_path.iterdir()) == []
