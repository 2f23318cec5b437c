"""Command line of the metadata service."""

from common.cli import main
from common.messaging import outbox

from .app import MIGRATIONS, create_app
from .settings import Settings

main(
    name="metadata",
    settings_type=Settings,
    create_app=create_app,
    migrations=MIGRATIONS,
    reannounce=outbox.reannounce,
)
