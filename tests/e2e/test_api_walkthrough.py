"""The walk through the API that docs/ offers works as it is written."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from native.fleet import Fleet

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parents[2] / "docs" / "api-walkthrough.sh"
CHAPTERS = 15


def test_the_walkthrough_can_be_followed_to_its_end(quick_fleet: Fleet) -> None:
    assert shutil.which("jq"), "the walk needs jq, like its reader: apt-get install jq"
    name, password = quick_fleet.credentials
    place = {"VERBATIM_URL": quick_fleet.url("gateway"), "VERBATIM_USERNAME": name, "VERBATIM_PASSWORD": password}
    done = subprocess.run(
        [SCRIPT],
        env=os.environ | place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [f"{number}. " in done.stdout for number in range(1, CHAPTERS + 1)] == [True] * CHAPTERS, said
    for code in ("without a token the answer is 401", "it may not write: 403", "afterwards the answer is 404"):
        assert code in done.stdout, said
    assert "after logging out 401" in done.stdout, said
    for outcome in (
        "after event 2 comes event 3",
        '"verified":true',
        "the job's: yes",
        "so far: 1000 bytes",
        '"priority":"high"',
    ):
        assert outcome in done.stdout, said
    assert re.search("stopping it is answered with (200|409)", done.stdout), said
