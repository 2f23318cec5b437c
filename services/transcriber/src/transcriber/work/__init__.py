"""The four kinds of work (plan, chunk, verify, assemble) and what they share."""
