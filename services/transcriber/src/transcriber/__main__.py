"""Command line: that of every service, and `serve --devices auto|0,1,…`, which runs one process per GPU."""

import argparse
import asyncio
import os

from common import logging, settings
from common.cli import main

from .app import create_app
from .engines import supervisor
from .settings import Settings

# Planning must not delay the requests to the other services. The engine's process has an even lower priority.
NICENESS = 5

parser = argparse.ArgumentParser(add_help=False)
parser.add_argument("--devices")
arguments, rest = parser.parse_known_args()
if rest == ["serve"]:
    os.nice(NICENESS)
devices = supervisor.gpus(arguments.devices) if arguments.devices and rest == ["serve"] else []
if devices:
    logging.configure(settings.load(Settings), "transcriber")
    asyncio.run(supervisor.Supervisor(supervisor.environments(devices, os.environ)).run())
else:
    # Without a GPU this process is the only transcriber.
    main(
        name="transcriber",
        settings_type=Settings,
        create_app=create_app,
        serve_options={
            "--devices": "one process for each of these GPUs: auto (all visible ones), or their numbers: 0,1"
        },
    )
