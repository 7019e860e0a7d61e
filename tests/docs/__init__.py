"""What can be tested of the documentation: its claims, its links, its pictures, and the built site in a browser."""
