"""Scoring with an artifact: NumPy, tokenizers and ONNX Runtime, no torch."""
