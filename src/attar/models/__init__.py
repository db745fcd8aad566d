"""Pretrained encoders by name, the students' shapes and how they start."""
