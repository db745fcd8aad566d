"""What is checked, repaired, rejected and shown of the records."""
