"""Auth's own numbers."""

from prometheus_client import Counter, Histogram

LOGINS = Counter("verbatim_auth_logins_total", "Login attempts by result.", ["result"])
REFRESHES = Counter("verbatim_auth_refreshes_total", "Refresh tokens presented, by result.", ["result"])
KEY_EXCHANGES = Counter("verbatim_auth_api_key_exchanges_total", "API keys presented, by result.", ["result"])
LOGIN_SECONDS = Histogram("verbatim_auth_login_seconds", "Time to answer a login, hashing and waiting included.")
