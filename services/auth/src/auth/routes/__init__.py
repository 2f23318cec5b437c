"""The HTTP entrance: public, administrative and internal operations."""
