"""Records from MongoDB and Label Studio."""
