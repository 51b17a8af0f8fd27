"""Lines that were stored: searched, followed, counted, kept for so long, and read from the sandboxes where nothing stores them."""
