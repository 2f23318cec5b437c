"""Metrics of the auth service."""

from prometheus_client import Counter, Histogram

LOGINS = Counter("verbatim_auth_logins_total", "Login attempts by result.", ["result"])
REFRESHES = Counter("verbatim_auth_refreshes_total", "Uses of refresh tokens by result.", ["result"])
KEY_EXCHANGES = Counter("verbatim_auth_api_key_exchanges_total", "Exchanges of API keys by result.", ["result"])
LOGIN_SECONDS = Histogram("verbatim_auth_login_seconds", "Seconds to process a login, including hashing and waiting.")
