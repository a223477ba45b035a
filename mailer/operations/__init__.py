"""What a person does to an account, and sees of it: pause, shelves, status, history, forecast."""
