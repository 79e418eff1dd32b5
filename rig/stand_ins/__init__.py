"""Test doubles for what CI cannot fetch, and what builds and offers them: see README.md."""
