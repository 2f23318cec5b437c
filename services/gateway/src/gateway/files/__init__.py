"""Files that are read: transcripts, recordings and the web page."""
