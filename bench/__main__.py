"""`PYTHONPATH=tests python -m bench`: run every measurement that needs no recording of its own, one after the other."""

import asyncio

from . import engines, pipeline, platform

asyncio.run(engines.main())
asyncio.run(platform.main())
asyncio.run(pipeline.main())
