"""Looks at the target while the load runs: its health page, its process's memory. The runtime makes the calls."""
