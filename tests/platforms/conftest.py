"""Tests of platforms load Locust, and without its patches: on these, a file that is run alone would hang."""

import tests.quiet_locust  # noqa: F401
