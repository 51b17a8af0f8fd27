"""Makes a release of one commit: `scripts/release`, docs/design/packaging.md. Development only; nothing of it is released."""
