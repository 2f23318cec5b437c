"""User names and passwords: normal forms, rules and hashes."""
