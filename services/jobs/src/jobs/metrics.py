"""Metrics of the jobs service."""

from prometheus_client import Counter, Gauge, Histogram

JOBS_CREATED = Counter("verbatim_jobs_created_total", "Jobs created.")
JOBS_RESTARTED = Counter("verbatim_jobs_restarted_total", "Jobs restarted.")
JOBS_FINISHED = Counter("verbatim_jobs_finished_total", "Jobs that ended.", ["state", "reason_code"])
JOBS_UNFINISHED = Gauge("verbatim_jobs_unfinished", "Jobs by unfinished state.", ["state"])
OLDEST_QUEUED = Gauge("verbatim_jobs_oldest_queued_seconds", "Wait of the oldest queued job.")
QUEUE_SECONDS = Histogram(
    "verbatim_job_queue_seconds",
    "From a job's creation to the start of its attempt.",
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400),
)
TRANSCRIPTION_SECONDS = Histogram(
    "verbatim_job_transcription_seconds",
    "From the start of an attempt to its transcript.",
    buckets=(1, 2, 5, 10, 30, 60, 180, 600, 1800, 3600, 14_400),
)
AUDIO_SECONDS = Counter("verbatim_job_audio_seconds_total", "Seconds of recordings transcribed.")
DECODE_SECONDS = Counter("verbatim_job_decode_seconds_total", "Seconds that workers spent on chunk results.")
STALE_RESULTS = Counter(
    "verbatim_stale_results_total",
    "Results ignored because the job is deleted, has ended, or is in another attempt.",
    ["event"],
)
WORK_DISPATCHED = Counter("verbatim_work_dispatched_total", "Work sent to the transcribers.", ["work"])
WORK_REPEATED = Counter("verbatim_work_repeated_total", "Work sent again because it showed no progress.", ["work"])
CHUNKS_IN_FLIGHT = Gauge("verbatim_chunks_in_flight", "Chunks in flight.")
CHUNKS_REUSED = Counter("verbatim_chunks_reused_total", "Chunks whose result a restart reused.")
EVENT_WATCHERS = Gauge("verbatim_event_watchers", "Open event streams.")
LIVE_WORKERS = Gauge("verbatim_workers_live", "Live workers per model.", ["model"])
DEAD_LETTERS = Counter("verbatim_dead_letters_total", "Dead-lettered messages.", ["queue"])
LOG_LINES = Counter("verbatim_log_lines_archived_total", "Log records archived.")
LOG_LINES_UNREADABLE = Counter("verbatim_log_lines_unreadable_total", "Log messages that were not readable.")
QUOTA_REFUSALS = Counter("verbatim_quota_refusals_total", "Requests refused by a quota.", ["limit"])
