"""What the parts say to each other: actions, events, objects and error codes, as tables."""
