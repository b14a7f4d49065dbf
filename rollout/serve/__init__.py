"""The page of the windows in flight, for a browser on this machine; it reads the journal, and nothing else."""
