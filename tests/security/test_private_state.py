"""The state folder: rows, recordings, credentials and logs are readable by the accounts of the fleet alone."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from native.fleet import Fleet
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e

# Tries to list every folder and to open every file below the folder in argv, as another account.
STRANGER = """
import json, os, sys
root, names = sys.argv[1], json.load(sys.stdin)
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
seen = []
for name in [root, *names]:
    try:
        os.listdir(name) if os.path.isdir(name) else open(name, "rb").close()
    except OSError:
        continue
    seen.append(name)
print(json.dumps(seen))
"""
STRANGER_ID = 54_321  # no account has it


@pytest.fixture(scope="module")
def used(quick_fleet: Fleet) -> list[Path]:
    """Everything below the state folder after a job has gone through it."""
    client = PlatformClient(quick_fleet.url("gateway"), *quick_fleet.credentials)
    client.finished(client.submit("a.wav", encoded(speech()[: 5 * RATE], "wav", "pcm_s16le")))
    client.close()
    return [path for path in quick_fleet.state.path.rglob("*") if not path.is_symlink()]


def test_no_file_and_no_folder_lets_other_accounts_in(used: list[Path], quick_fleet: Fleet) -> None:
    assert len(used) > 100
    # The object store sets the mode of its volumes' descriptions itself; the closed folder above keeps others out.
    ours = [path for path in (quick_fleet.state.path, *used) if path.suffix != ".vif"]
    assert not {str(path): oct(_mode(path)) for path in ours if _mode(path) & 0o077}


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.lstat().st_mode)
    except FileNotFoundError:  # it was a temporary file
        return 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account; the modes are tested above")
def test_another_account_can_read_nothing(used: list[Path], quick_fleet: Fleet) -> None:
    names = json.dumps([str(path) for path in used])
    command = [sys.executable, "-I", "-c", STRANGER, str(quick_fleet.state.path), str(STRANGER_ID)]
    seen = subprocess.run(command, input=names, capture_output=True, text=True, check=True)
    assert json.loads(seen.stdout) == []
