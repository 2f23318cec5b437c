"""Benchmarks that compare programs in one run; not part of the tests."""
