"""The border: what the files say, read and judged. `rollout.config.load` does all of it, and is heavy to load."""
