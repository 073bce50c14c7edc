"""What teams pay. Owns: plan, add-on, payment, grant, renewal, refund."""
