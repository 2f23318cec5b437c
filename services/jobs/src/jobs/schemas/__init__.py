"""HTTP bodies and parameters, and how they are computed from rows."""
