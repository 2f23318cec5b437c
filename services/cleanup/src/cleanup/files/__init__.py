"""The stored files of all jobs: their keys, their size by kind, and all transcripts as one zip file."""
