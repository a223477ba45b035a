"""Amazon SES behind one seam: three clients, one tree of errors."""
