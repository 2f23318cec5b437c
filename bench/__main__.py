"""`PYTHONPATH=tests python -m bench`: run every measurement (the recordings are those of the end-to-end tests)."""

import asyncio

from . import platform

asyncio.run(platform.main())
