"""``mailer bench``: the speed of a host, its limit, and the processes and threads that a rate needs."""
