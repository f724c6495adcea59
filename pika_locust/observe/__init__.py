"""Looks at the target while the load runs: its health page, its process's memory. Plain calls; the runtime calls them."""
