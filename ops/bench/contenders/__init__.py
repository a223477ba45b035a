"""Ways to send the same mails: ours, what one would write otherwise, and the floor beneath them all."""
