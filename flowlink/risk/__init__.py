"""What looks wrong. Owns: hold. Promise: nothing is held without evidence, a deadline and a reason its partner can read."""
