"""Command line of the transcriber."""

from common.cli import main

from .app import create_app
from .settings import Settings

main(name="transcriber", settings_type=Settings, create_app=create_app)
