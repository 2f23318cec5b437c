"""Rules of writing systems: spaces between words, and ends of sentences."""
