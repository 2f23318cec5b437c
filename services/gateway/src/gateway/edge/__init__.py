"""What surrounds every route: credentials, revocations, limits, CORS and security headers."""
