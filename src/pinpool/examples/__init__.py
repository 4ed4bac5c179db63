"""Example spiders. They import pinpool as users do."""
