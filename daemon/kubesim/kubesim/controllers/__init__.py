"""The controllers: each reconciles the objects of one kind with their specification."""
