"""The history of auth's schema."""
