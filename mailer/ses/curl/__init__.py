"""The hot path: SES API v2 over connections that libcurl opens. Our own code speaks HTTP on them."""
