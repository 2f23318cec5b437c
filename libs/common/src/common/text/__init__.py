"""What follows from how the world's scripts are written: spaces between words, and where sentences end."""
