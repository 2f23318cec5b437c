"""Bodies of requests and responses, and the cursors of listings."""
