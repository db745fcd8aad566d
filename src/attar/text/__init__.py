"""From text to token ids, the same way in training, evaluation, scoring and serving.

NumPy and tokenizers only.
"""
