"""Tests of README and docs/: every command and snippet there is executed."""
