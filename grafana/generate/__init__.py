"""Writes grafana/dashboards/*.json from Grafana's own types (its foundation SDK)."""
