"""The report: one HTML file that shows how a model classifies images, and why."""

from cnnfast.report.build import DEFAULT_MAX_IMAGES, MAX_BYTES, write_report

__all__ = ["DEFAULT_MAX_IMAGES", "MAX_BYTES", "write_report"]
