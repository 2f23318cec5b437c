"""Which job and which chunk is next, and when a job will be ready."""
