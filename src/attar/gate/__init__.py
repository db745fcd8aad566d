"""The gate: one verdict on the model that would be deployed, its conditions, words and exit code."""
