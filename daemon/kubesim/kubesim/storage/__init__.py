"""The objects of the API: how they are made whole, validated, kept and told of."""
