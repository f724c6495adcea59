"""The Locust side: users, the shape that drives them, the messages between processes, and when to judge."""
