"""The engine: what moves records, and in which order they become durable. Silent as a library: who runs it decides where its log goes."""

import logging

logging.getLogger("ddpm").addHandler(logging.NullHandler())
