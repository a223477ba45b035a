"""A person's view of an account, and the commands for it: pause, shelves, status, history, forecast."""
