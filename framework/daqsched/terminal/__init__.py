"""How things look in a terminal: values in, rich's renderables out. A colour never says what a word does not."""
