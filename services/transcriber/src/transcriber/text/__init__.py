"""Texts for people: the merged transcript, subtitle cues, line breaks, download formats, and stock phrases."""
