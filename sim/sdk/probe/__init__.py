"""Asks a simulated cloud with the official Python SDK, and says where it is not what the documents promise."""
