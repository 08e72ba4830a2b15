"""What was recorded, lived through again: never imported by the daemon."""
