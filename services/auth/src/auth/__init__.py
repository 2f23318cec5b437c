"""Users, passwords, tokens and the signing keys that the other services verify against."""
