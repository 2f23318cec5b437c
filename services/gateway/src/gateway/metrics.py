"""The gateway's own numbers."""

from prometheus_client import Counter, Gauge

UPLOADS = Counter("verbatim_gateway_uploads_total", "Uploads by result.", ["result"])
UPLOAD_BYTES = Counter("verbatim_gateway_upload_bytes_total", "Bytes of recordings received, refused ones included.")
LOG_VIEWERS = Gauge("verbatim_gateway_log_viewers", "People watching logs live.")
LOG_GAPS = Counter("verbatim_gateway_log_gaps_total", "Times that lines were missed and read from the archive instead.")
REVOCATIONS = Gauge("verbatim_gateway_revocations", "Sessions, API keys and users whose tokens are let in no more.")
SLOW_VIEWERS = Counter("verbatim_gateway_slow_viewers_total", "Log viewers dropped because they read too slowly.")
