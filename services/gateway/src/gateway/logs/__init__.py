"""Live logs over WebSockets."""
