"""Looks at the target during the load: health page, process memory, Prometheus."""
