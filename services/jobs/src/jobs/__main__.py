"""The command line: python -m jobs serve|migrate|reannounce|openapi|check-config."""

from common import cli

from .app import MIGRATIONS, create_app
from .service.work import reannounce
from .settings import Settings

if __name__ == "__main__":
    cli.main(name="jobs", settings_type=Settings, create_app=create_app, migrations=MIGRATIONS, reannounce=reannounce)
