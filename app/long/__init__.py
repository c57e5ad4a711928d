"""The tab "When does it pay?": long sequences in theory, on this machine, and in the paper."""
