"""Alembic environment of auth."""

from auth.tables import Base
from common.database import run_env

run_env(Base.metadata)
