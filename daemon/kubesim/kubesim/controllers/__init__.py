"""The controllers: each brings the objects of one kind nearer to what they ask for."""
