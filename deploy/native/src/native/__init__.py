"""The whole platform on one machine without containers: private backing services, the six services, one supervisor."""
