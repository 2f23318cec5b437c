"""Metrics of the gateway."""

from prometheus_client import Counter, Gauge

UPLOADS = Counter("verbatim_gateway_uploads_total", "Uploads by result.", ["result"])
UPLOAD_BYTES = Counter("verbatim_gateway_upload_bytes_total", "Bytes of recordings received, refused ones included.")
LOG_VIEWERS = Gauge("verbatim_gateway_log_viewers", "Connected log viewers.")
LOG_GAPS = Counter("verbatim_gateway_log_gaps_total", "Gaps in the live log lines that were filled from the archive.")
REVOCATIONS = Gauge("verbatim_gateway_revocations", "Revoked sessions and API keys, and users with revoked tokens.")
SLOW_VIEWERS = Counter("verbatim_gateway_slow_viewers_total", "Log viewers disconnected because they read too slowly.")
