"""Numbers of the metadata service."""

from prometheus_client import Counter, Gauge, Histogram

ENRICHMENTS = Counter(
    "verbatim_metadata_enrichments_total", "Enrichments by what came of the try.", ["outcome"]
)  # done, failed, postponed, overtaken
ENRICHMENT_SECONDS = Histogram(
    "verbatim_metadata_enrichment_seconds",
    "Seconds from taking an enrichment to its commit.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
OLDEST_PENDING = Gauge("verbatim_metadata_oldest_pending_seconds", "Age of the oldest transcript not yet enriched.")
ANALYSES = Counter("verbatim_metadata_analyses_total", "Analyses by what came of the try.", ["outcome"])
ANALYSIS_SECONDS = Histogram(
    "verbatim_metadata_analysis_seconds",
    "Seconds from taking an analysis to its commit.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900),
)
ANALYSIS_TOKENS = Counter(
    "verbatim_metadata_analysis_tokens_total", "Tokens that the language model's server counted.", ["direction"]
)
OLDEST_PENDING_ANALYSIS = Gauge(
    "verbatim_metadata_oldest_pending_analysis_seconds", "Age of the oldest analysis asked for and not yet made."
)
