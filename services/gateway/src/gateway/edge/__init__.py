"""Middleware around all routes: authentication, revocations, limits, CORS and security headers."""
