"""Tests that bring up containers, which takes minutes and a Docker engine: `make containers`, not `make test`."""
