"""Enrichment of finished transcripts: statistics and keywords."""
