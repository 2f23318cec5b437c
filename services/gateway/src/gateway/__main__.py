"""`python -m gateway serve|openapi|check-config`."""

from common import cli

from .app import create_app
from .settings import Settings

if __name__ == "__main__":
    cli.main(name="gateway", settings_type=Settings, create_app=create_app)
