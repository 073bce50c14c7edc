"""What partners publish. Owns: asset, submission, assignment, publication, variant."""
