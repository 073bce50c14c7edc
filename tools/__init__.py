"""What builds the product: assets and message catalogues. Not part of the installed package."""
