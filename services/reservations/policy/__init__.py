"""What is done with each reserved data, and at what cost. Decides; reads and writes nothing but its file."""
