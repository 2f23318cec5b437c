"""Write the next migration of a service from the difference between its tables and its history.

    python scripts/migration.py jobs "add a retention class"

A scratch PostgreSQL is started for it and removed afterwards. The written file is a draft: read it, and mind decision
0023 (a migration only adds). Without a difference the migration is empty, for a change of data alone.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from common import database
from native.fleet import WITH_DATABASE
from native.state import StateFolder
from native.testing import running_postgres

ROOT = Path(__file__).resolve().parents[1]


def write(service: str, message: str) -> Path:
    """Write the migration; return its path."""
    migrations = f"{service}.migrations"
    folder = StateFolder(ROOT / ".verbatim" / f"test-{os.getpid()}")
    try:
        with running_postgres(folder.path) as server:
            db_url = server.create_service(service)
            if database.revisions(migrations):
                database.migrate(db_url, migrations)
            return database.revision(db_url, migrations, message)
    finally:
        folder.remove()


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("service", choices=WITH_DATABASE)
    parser.add_argument("message", help="what changes, in a few words: the file's name and first line")
    arguments = parser.parse_args()
    if not arguments.message.strip():
        parser.error("the message is empty")
    path = write(arguments.service, arguments.message.strip())
    for command in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], check=True, cwd=ROOT)
    print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
