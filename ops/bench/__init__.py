"""The figures: mailer's cost, and the accuracy of its rate. Each is compared with a program in the same run."""
