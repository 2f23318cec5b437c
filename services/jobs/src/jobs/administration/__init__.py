"""What administrators see and steer: workers, dead letters, concurrency, figures, reset, the end of processes."""
