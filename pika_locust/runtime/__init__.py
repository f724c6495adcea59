"""The Locust side of a test: virtual users, load control, master-worker messages, and the run from start to report."""
