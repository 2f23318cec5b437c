"""Messages in: events, notices of the control exchange, and dead letters."""
