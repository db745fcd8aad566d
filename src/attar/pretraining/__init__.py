"""Before there is a task: what a model learns from text without labels."""
