pytest_plugins = ["rollout.plugin"]
