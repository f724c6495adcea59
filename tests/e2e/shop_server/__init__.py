"""A target for any locustfile, and locustfiles for it that use this package as strangers do."""
