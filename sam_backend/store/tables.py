"""The tables of the database, as the newest migration leaves them."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, kept in UTC; SQLite has no time zones, so they are put back when it is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into the database; a moment without a time zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Out of the database."""
        if value is None or value.tzinfo is not None:
            return value if value is None else value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("project", Integer),
    Column("payload", JSON, nullable=False),
    Column("dedupe_key", String(255)),
    Column("state", String(16), nullable=False),
    Column("progress", JSON, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("reason", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("worker", String(255)),
    Column("lease", String(32)),
    Column("lease_s", Float),
    Column("lease_until", UtcDateTime),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("cancel_requested", Boolean, nullable=False, server_default=false()),
    Index("jobs_by_state", "state", "id"),
    sqlite_autoincrement=True,
)

ACTIVE = text("state IN ('queued', 'running')")
"""A job that has not ended: of these, a `dedupe_key` has but one."""

Index(
    "jobs_active_dedupe_key",
    JOBS.c.dedupe_key,
    unique=True,
    sqlite_where=ACTIVE,
    postgresql_where=ACTIVE,
)

EVENTS = Table(
    "events",
    METADATA,
    Column("key", String(255), primary_key=True),
    Column("action", String(64), nullable=False),
    Column("project", Integer),
    Column("at", UtcDateTime, nullable=False),
    Index("events_by_time", "at"),
)

PROPOSALS = Table(
    "proposals",
    METADATA,
    Column("image", String(64), primary_key=True),
    Column("model_version", String(128), primary_key=True),
    Column("proposer", String(128), primary_key=True),
    Column("masks", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("proposals_by_time", "at"),
)

PREFILLS = Table(
    "prefills",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("task", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("model_version", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("counts", JSON, nullable=False),
    Column("coverage", Float, nullable=False),
    Column("score", Float, nullable=False),
    Column("reason", Text),
    Column("masks", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

PREFILL_VERSIONS = Table(
    "prefill_versions",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("model_version", String(128), primary_key=True),
)

LOTS = Table(
    "lots",
    METADATA,
    Column("run", String(64), primary_key=True),
    Column("verdict", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

LOT_RECORDS = Table(
    "lot_records",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("document", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("lot_records_by_run", "run", "id"),
    sqlite_autoincrement=True,
)

GOLD = Table(
    "gold",
    METADATA,
    Column("image", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("masks", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("makers", JSON, nullable=False),
    Column("excluded", Text),
    Column("at", UtcDateTime, nullable=False),
)

GOLD_CHANGES = Table(
    "gold_changes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("image", String(64), nullable=False),
    Column("change", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("gold_changes_by_image", "image", "id"),
    sqlite_autoincrement=True,
)

GOLD_COPIES = Table(
    "gold_copies",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("project", Integer, nullable=False),
    Column("image", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("gold_copies_by_image", "host", "project", "image", unique=True),
)

CALIBRATIONS = Table(
    "trusts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model_version", String(128), nullable=False),
    Column("document", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("trusts_by_version", "model_version", "id"),
    sqlite_autoincrement=True,
)

OBJECTS = Table(
    "objects",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

REVISIONS = Table(
    "revisions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("host", String(255), nullable=False),
    Column("project", Integer, nullable=False),
    Column("subject", String(16), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("task", BigInteger),
    Column("change", String(64), nullable=False),
    Column("person", String(64)),
    Column("stamp", UtcDateTime, nullable=False),
    Column("digest", String(64)),
    Column("regions", Integer, nullable=False),
    Column("author", String(64)),
    Column("made_at", UtcDateTime),
    Column("lead_time_s", Float),
    Column("is_skipped", Boolean, nullable=False),
    Column("source", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("revisions_by_subject", "host", "project", "subject", "number", "id"),
    Index("revisions_by_task", "host", "project", "task", "id"),
    sqlite_autoincrement=True,
)

VERIFICATIONS = Table(
    "verifications",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("is_confirmed", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("verifications_by_revision", "revision", "is_confirmed"),
    sqlite_autoincrement=True,
)

Table("append_only_guard", METADATA, Column("id", Integer, primary_key=True))
"""Of SQLite's triggers, see `migrations.append_only`; nothing of ours reads it."""

VERSIONS = Table(
    "versions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("host", String(255), nullable=False),
    Column("project", Integer, nullable=False),
    Column("parent", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("versions_by_parent", "host", "project", "parent", unique=True),
    sqlite_autoincrement=True,
)

VERSION_TAGS = Table(
    "version_tags",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

ANNOTATORS = Table(
    "annotators",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("person", String(64), primary_key=True),
    Column("skills", JSON, nullable=False),
    Column("languages", JSON, nullable=False),
    Column("away_until", UtcDateTime),
    Column("joined_at", UtcDateTime, nullable=False),
    Column("left_at", UtcDateTime),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("project", Integer, nullable=False),
    Column("task", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),
    Column("person", String(64), nullable=False),
    Column("is_gold", Boolean, nullable=False),
    Column("priority", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", String(16)),
    Index("leases_by_person", "host", "project", "person", "id"),
    Index("leases_by_task", "host", "project", "task", "id"),
    sqlite_autoincrement=True,
)

OPEN = text("ended_at IS NULL")
"""A lease that somebody holds: a task has one a place, and one a person."""

for _name, _column in (("leases_open_place", "place"), ("leases_open_person", "person")):
    Index(
        _name,
        LEASES.c.host,
        LEASES.c.project,
        LEASES.c.task,
        LEASES.c[_column],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )

VIOLATIONS = Table(
    "violations",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("annotation", BigInteger, primary_key=True),
    Column("task", BigInteger, nullable=False),
    Column("person", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

TASK_ORDERS = Table(
    "task_orders",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("priority", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

TASK_FEATURES = Table(
    "task_features",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("project", Integer, primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("model_version", String(128), nullable=False),
    Column("image", String(64), nullable=False),
    Column("features", LargeBinary),
    Column("reason", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("sizes", JSON),
)

ANNOTATION_CONTENTS = Table(
    "annotation_contents",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("labels", JSON, nullable=False),
    Column("sizes", JSON, nullable=False),
    Column("unread", JSON),
    Column("images", JSON),
)

STAGE_MOVES = Table(
    "stage_moves",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("project", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("stage", String(8), nullable=False),
    Column("by", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("readings", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("stage_moves_by_place", "host", "project", "place", unique=True),
    sqlite_autoincrement=True,
)

MEASUREMENTS = Table(
    "measurements",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("project", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("document", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("measurements_by_kind", "host", "project", "kind", "id"),
    sqlite_autoincrement=True,
)
