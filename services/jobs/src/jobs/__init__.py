"""The job catalogue, its state machine and the dispatch of work."""
