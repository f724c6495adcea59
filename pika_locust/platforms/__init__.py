"""Who acts, against what: a folder for each platform. See `pika_locust.catalogue` for how they are found."""
