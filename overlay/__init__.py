"""Who may talk to whom, and how bytes reach them. I/O at the edge, state machines inside."""
