"""What SES tells its customers about a message after it was accepted, and the ways in which it tells them."""
