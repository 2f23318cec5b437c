"""The rows behind administration: what was set at run time, who was heard, what was replayed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, func, text, true
from sqlalchemy.orm import Mapped, mapped_column

from jobs.tables import Base


class Concurrency(Base):
    """At most one row: what an administrator set in place of the settings; null = the setting counts."""

    __tablename__ = "concurrency"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    max_concurrent_jobs: Mapped[int | None]
    chunks_in_flight_per_job: Mapped[int | None]
    chunks_in_flight_per_worker: Mapped[int | None]
    paused_workers: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_by: Mapped[UUID]


class Instance(Base):
    """A service process as its last heartbeat described it."""

    __tablename__ = "instances"

    service: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    started_at: Mapped[datetime]
    cpu_percent: Mapped[float]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StoredKind(Base):
    """How much of one kind of file there was when cleanup last looked."""

    __tablename__ = "stored_kinds"

    kind: Mapped[str] = mapped_column(primary_key=True)
    objects: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    measured_at: Mapped[datetime]


class Replay(Base):
    """That a dead letter was sent again, when, for whom and how; a letter is replayed once."""

    __tablename__ = "replays"

    letter_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("dead_letters.id", ondelete="CASCADE"), primary_key=True
    )
    replayed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    replayed_by: Mapped[UUID]
    # The new message's id; null when the job was taken up again, which sends its own work.
    message_id: Mapped[UUID | None]
