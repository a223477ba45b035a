"""SES's two APIs: calls, the operations that they name, and the answers in the form of each."""
