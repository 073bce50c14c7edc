"""Those who host. Owns: team, member, invitation."""
