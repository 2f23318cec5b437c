"""Metrics of the cleanup service."""

from prometheus_client import Counter, Gauge, Histogram

DELETED_OBJECTS = Counter("verbatim_cleanup_deleted_objects_total", "Objects deleted, by rule.", ["rule"])
EXPIRED_JOBS = Counter("verbatim_cleanup_expired_jobs_total", "Jobs published as past the retention.")
UNCLAIMED_JOBS = Gauge(
    "verbatim_cleanup_unclaimed_jobs", "Jobs with working files or transcripts but without events; they are kept."
)
SWEEP_SECONDS = Histogram(
    "verbatim_cleanup_sweep_seconds", "Seconds that one run of a rule took.", ["rule"], buckets=(0.05, 0.5, 5, 60, 600)
)
SWEEP_FAILURES = Counter("verbatim_cleanup_sweep_failures_total", "Failed runs of a rule.", ["rule"])
LAST_ROUND = Gauge(
    "verbatim_cleanup_last_round_timestamp_seconds", "Time at which this replica last finished a sweep of all rules."
)
STORED_OBJECTS = Gauge("verbatim_stored_objects", "Objects in the store, by kind, as last measured.", ["kind"])
STORED_BYTES = Gauge("verbatim_stored_bytes", "Bytes in the store, by kind, as last measured.", ["kind"])
