"""Tests of what the package is deployed with: compose, Prometheus, Grafana, Kubernetes."""
