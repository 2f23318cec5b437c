"""Alembic's entrance to auth's schema."""

from auth.tables import Base
from common.database import run_env

run_env(Base.metadata)
