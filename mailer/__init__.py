"""Send mail through Amazon SES from many machines, at exactly the rate the account allows."""
