"""Effects: everything that awaits, and the only readers of time, randomness, files and the network."""
