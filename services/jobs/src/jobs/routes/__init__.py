"""HTTP in: one module per audience."""
