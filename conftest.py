pytest_plugins = ["rollout.plugin.hooks"]
