"""Alembic environment of jobs."""

from common.database import run_env
from jobs.administration.tables import Concurrency

# Administration's tables stand on all the others, so importing them imports every one.
run_env(Concurrency.metadata)
