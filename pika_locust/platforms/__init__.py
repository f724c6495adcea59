"""The five platforms, a package each: users, scenarios, audits, and a stand-in for their server.

A platform is a package with a module `scenarios` that holds SCENARIOS and, where it has a sandbox, a module `world`
that holds PLATFORM. A folder in here is found by itself; other packages offer theirs in the entry-point group
`pika_locust.platforms`: name of the platform -> the package that holds it.
"""
