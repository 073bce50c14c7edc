"""What visitors did. Owns: link, click, network, offer, postback, conversion. Promise: an answered click is a stored click."""
