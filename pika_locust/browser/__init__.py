"""Real browsers as users: Chromium, driven by a process of its own, and what it says of web vitals."""
