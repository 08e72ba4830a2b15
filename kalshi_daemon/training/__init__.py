"""What makes a model: never imported by the daemon."""
