"""Metrics of a transcriber."""

from prometheus_client import Counter, Gauge, Histogram

AUDIO_SECONDS = Counter("verbatim_audio_seconds_total", "Seconds of recordings, by what was done.", ["stage"])
DECODE_SECONDS = Counter("verbatim_decode_seconds_total", "Seconds the engine spent decoding, by model.", ["model"])
PLAN_SECONDS = Counter("verbatim_plan_seconds_total", "Seconds spent on decoding recordings and finding speech.")
CHUNKS = Counter("verbatim_chunks_total", "Chunks: planned, decoded, reused.", ["outcome"])
FORCED_CUTS = Counter("verbatim_forced_cuts_total", "Windows that end in the middle of speech.")
REJECTIONS = Counter("verbatim_rejections_total", "Recordings that can never be transcribed.", ["reason"])
CANCELLED = Counter("verbatim_work_cancelled_total", "Work dropped because its job was cancelled.", ["work"])
TRANSCRIPTS = Counter("verbatim_transcripts_total", "Transcripts assembled.")
CHUNK_DECODE_SECONDS = Histogram(
    "verbatim_chunk_decode_seconds",
    "How long the engine takes for a chunk.",
    ["model"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300),
)
WORK_IN_HAND = Gauge("verbatim_work_in_hand", "Work this process is busy with, by kind.", ["kind"])
