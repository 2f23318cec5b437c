"""The public HTTP and WebSocket interface."""
