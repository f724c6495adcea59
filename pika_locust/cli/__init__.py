"""The `pika-locust` command and its subcommands, one in a file."""
