"""Quality, uncertainty and speed: everything that is measured of a model after it is trained.

Takes callables (examples -> probabilities), never models.
"""
