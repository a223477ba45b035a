"""The account in Redis: lanes, limits, leases, shelves, records. This package knows neither kombu nor Celery."""
