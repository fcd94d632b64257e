"""Serves the gauges of a text file with Python's client library: python_client.py PORT FILE."""

import sys
import threading

from prometheus_client import CollectorRegistry, Gauge, start_http_server
from prometheus_client.parser import text_fd_to_metric_families

port, series = int(sys.argv[1]), sys.argv[2]
registry = CollectorRegistry()
with open(series, encoding="utf-8") as text:
    for family in text_fd_to_metric_families(text):
        names = list(family.samples[0].labels)
        gauge = Gauge(family.name, family.documentation, names, registry=registry)
        for sample in family.samples:
            gauge.labels(**sample.labels).set(sample.value)
start_http_server(port, addr="127.0.0.1", registry=registry)
threading.Event().wait()
