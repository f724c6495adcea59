"""Real browsers as users: Chromium, driven by a process of its own, and what it says of web vitals.

The figures are those of web-vitals 6.2.3, which Google publishes under the Apache License 2.0.
"""
