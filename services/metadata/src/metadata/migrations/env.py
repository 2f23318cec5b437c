"""Alembic environment of metadata."""

from common.database import run_env
from metadata.tables import Base

run_env(Base.metadata)
