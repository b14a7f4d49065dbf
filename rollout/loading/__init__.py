"""The border: what the files say, read and judged. `rollout.loading.whole` does all of it, and is heavy to load."""
