"""The account in Redis, behind one seam: lanes, limits, leases, shelves, records. Knows neither kombu nor Celery."""
