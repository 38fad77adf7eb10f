"""What a notebook shows, and the protocol between kernel and browser."""
