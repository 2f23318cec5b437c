"""Background loops that process rows under a lease."""
