"""Metrics of the metadata service."""

from prometheus_client import Counter, Gauge, Histogram

ENRICHMENTS = Counter(
    "verbatim_metadata_enrichments_total", "Tries of enrichments by outcome.", ["outcome"]
)  # done, failed, postponed, overtaken
ENRICHMENT_SECONDS = Histogram(
    "verbatim_metadata_enrichment_seconds",
    "Seconds from the lease of an enrichment to its commit.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
OLDEST_PENDING = Gauge("verbatim_metadata_oldest_pending_seconds", "Age of the oldest pending enrichment.")
ANALYSES = Counter("verbatim_metadata_analyses_total", "Tries of analyses by outcome.", ["outcome"])
ANALYSIS_SECONDS = Histogram(
    "verbatim_metadata_analysis_seconds",
    "Seconds from the lease of an analysis to its commit.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900),
)
ANALYSIS_TOKENS = Counter(
    "verbatim_metadata_analysis_tokens_total", "Tokens as counted by the server of the language model.", ["direction"]
)
OLDEST_PENDING_ANALYSIS = Gauge(
    "verbatim_metadata_oldest_pending_analysis_seconds", "Age of the oldest pending analysis."
)
