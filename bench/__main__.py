"""`PYTHONPATH=tests python -m bench`: run all benchmarks that need no separate recording."""

import asyncio

from . import engines, pipeline, platform

asyncio.run(engines.main())
asyncio.run(platform.main())
asyncio.run(pipeline.main())
