"""The part of http-parser 0.9.0 that pymesos uses, over httptools. See docs/design/pymesos.md."""
