"""Bytes and connections: HTTP and SMTP on the wire, who may connect, and how much all of them may hold."""
