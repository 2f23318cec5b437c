"""Alembic environment of cleanup."""

from cleanup.tables import Base
from common.database import run_env

run_env(Base.metadata)
