"""Sessions, API keys, the tokens issued for both, and the notices of their revocation."""
