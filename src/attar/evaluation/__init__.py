"""How good, how sure, how fast: everything that is said about a scorer after it is trained.

Takes callables (examples -> probabilities), never models.
"""
