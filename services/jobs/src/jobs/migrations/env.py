"""Alembic's environment."""

from common.database import run_env
from jobs.tables import Base

run_env(Base.metadata)
