# The image of master, workers and sandbox: wheels in the first stage, what they install in the second. By build argument:
# another base (any with Python 3.11 or newer and its venv), another package index, or a folder of wheels and no index.
ARG BASE=python:3.12-slim

FROM ${BASE} AS installed
# pip reads these from the environment, where they are given.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY . .
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip wheel --quiet --wheel-dir /wheels '.[prometheus,otlp]'
RUN python3 -m venv /opt/pika-locust \
    && /opt/pika-locust/bin/pip install --quiet --no-index --find-links /wheels 'pika-locust[prometheus,otlp]'

FROM ${BASE}
# A number, so that Kubernetes can see that it is not root.
ARG UID=1000
COPY --from=installed /opt/pika-locust /opt/pika-locust
COPY locustfiles /load-tests/locustfiles
COPY shapes /load-tests/shapes
RUN mkdir /results && chown ${UID} /results
ENV PATH=/opt/pika-locust/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /load-tests
USER ${UID}
# 8089 is the web page, 5557 what workers connect to, 8700 the sandbox, 9646 what Prometheus scrapes.
EXPOSE 8089 5557 8700 9646
# As Locust's own image has it: operators give arguments, and no command.
ENTRYPOINT ["locust"]
