"""Files for reading: transcripts, recordings and the web page."""
