"""The hot path: SES API v2 over connections that libcurl makes and we speak HTTP on."""
