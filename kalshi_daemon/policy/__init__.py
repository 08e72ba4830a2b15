"""The policy's pure side: books and ledger values in, an observation, a mask, an action and a proposed order out."""
