"""Who is calling: credentials as they come, keys and tokens as they are believed, what one may ask in a time, and the record of it."""
