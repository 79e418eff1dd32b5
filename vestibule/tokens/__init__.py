"""Tokens of people: minted (`minting`), and the links by which they enter (`meeting_url`)."""
