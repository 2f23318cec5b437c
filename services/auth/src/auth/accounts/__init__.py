"""Accounts: first start, login, registration, administration and deletion."""
