"""Reading volumes: masked, in bounded memory, checked to the last byte. Knows paths and arrays, nothing of trials."""
